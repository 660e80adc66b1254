"""Each word of the glossary is a word of the code, and is told once."""

import re
from pathlib import Path

import chatvault

GLOSSARY = Path(__file__).parent.parent / "docs" / "glossary.md"
ROWS = re.findall(r"^\| (`?)([A-Za-z]+)`? \| (.+) \|$", GLOSSARY.read_text(), re.MULTILINE)[1:]
SOURCE = "\n".join(path.read_text() for path in Path(chatvault.__file__).parent.rglob("*.py"))


class TestGlossary:
    def test_has_only_words_of_the_code(self) -> None:
        for tick, word, _ in ROWS:
            is_there = re.search(rf"\b{word}\b", SOURCE, 0 if tick else re.IGNORECASE)
            assert is_there, word

    def test_has_each_word_once_in_one_line(self) -> None:
        words = [word for _, word, _ in ROWS]
        assert len(words) == len(set(words)) >= 30
        assert all(meaning.endswith(".") and len(meaning) < 140 for *_, meaning in ROWS)
