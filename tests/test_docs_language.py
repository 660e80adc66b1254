"""The documentation is in plain technical English: words that stand for riddles are refused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
# Their docstrings and comments are checked too; src joins when its docstrings are rewritten.
PYTHON = sorted([ROOT / "tests/support/pages.py", *ROOT.glob("tests/test_docs*.py")])
# Each with what to write instead.
ANYWHERE = {
    r"whence": "where … from",
    r"none twice": "each once",
    r"for ever": "without a limit, permanently",
    r"as ever": "as before, or nothing",
    r"living messages?": "messages that are not deleted",
    r"see that": "check that, make sure that",
    r"nobody's words|anybody's words": "no message text",
}
# At the beginning of a docstring.
FIRST = {r"what is \w+ed\b": "say what it does or holds, in the present tense"}


def docstrings(path: Path) -> Iterator[str]:
    """The docstrings of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def comments(path: Path) -> str:
    return "\n".join(re.findall(r"(?:^|\s)# (.*)$", path.read_text(), re.MULTILINE))


def found(text: str, words: dict[str, str], *, at_start: bool = False) -> list[str]:
    """The words that a text has, each with what to write instead."""
    text = re.sub(r"\s+", " ", text)
    return [
        f"{match[0]!r}: write {instead}"
        for word, instead in words.items()
        for match in re.finditer(("" if at_start else r"\b") + word + r"\b", text, re.IGNORECASE)
        if not at_start or match.start() == 0
    ]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_has_no_riddles(page: Path) -> None:
    assert found(page.read_text(), ANYWHERE) == []


@pytest.mark.parametrize("module", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_no_riddles(module: Path) -> None:
    texts = list(docstrings(module))
    wrong = [each for text in texts for each in found(text, FIRST, at_start=True)]
    assert wrong + found("\n".join([*texts, comments(module)]), ANYWHERE) == []


def test_each_word_is_found() -> None:
    text = (
        "Whence it came: none twice, for ever, as ever. See that living messages. Nobody's words."
    )
    assert len(found(text, ANYWHERE)) == len(ANYWHERE)
    assert len(found("What is retired", FIRST, at_start=True)) == 1
