"""Counting tokens: texts, calls, and what a message carries beside its words."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chatvault.tokens import PER_MESSAGE, PER_PICTURE, PER_SMALL_PICTURE, Tokenizer

DATA = "QUJD" * 20_000


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(tmp_path_factory.mktemp("tiktoken"))


@pytest.mark.parametrize(
    ("part", "least", "most"),
    [
        ({"type": "text", "text": "Hello there"}, 2, 2),
        ({"type": "image_url", "image_url": {"url": DATA}}, PER_PICTURE, PER_PICTURE),
        ({"type": "input_image", "image_url": DATA}, PER_PICTURE, PER_PICTURE),
        ({"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
         PER_SMALL_PICTURE, PER_SMALL_PICTURE),
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
         PER_PICTURE, PER_PICTURE),
        ({"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}}, 100, 1000),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": DATA}}, 100, 1000),
        ({"type": "refusal", "refusal": "I would rather not. " * 100}, 400, 800),
        ({"type": ["image_url"], "x": 1}, 1, 30),
        ("Hello", 1, 4),
        (5, 1, 4),
    ],
)  # fmt: skip
def test_parts_cost_about_their_tokens(
    tokenizer: Tokenizer, part: Any, least: int, most: int
) -> None:
    message = {"role": "user", "content": [part]}

    counted = tokenizer.count_message(message, "gpt-4o") - PER_MESSAGE

    assert least <= counted <= most


def test_tokens_of_parts_add_up(tokenizer: Tokenizer) -> None:
    text = {"type": "text", "text": "Hello"}
    picture = {"type": "image_url", "image_url": {"url": DATA}}

    counted = tokenizer.count_message({"content": [text, picture, picture]}, "gpt-4o")

    assert counted == PER_MESSAGE + 1 + 2 * PER_PICTURE


def test_tokenizer_can_be_loaded_by_several_processes_at_once(tmp_path: Path) -> None:
    """Each unpacks the ranks into the same directory."""
    tokenizers = [Tokenizer(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as executor:
        counts = list(executor.map(lambda each: each.count("Hello", "gpt-4o"), tokenizers))

    assert counts == [1] * 8
    assert [each.suffix for each in tmp_path.iterdir()] == [""]
