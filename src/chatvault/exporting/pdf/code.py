"""Generate typst code: calls of functions, and text only as string literals."""

import re
import unicodedata
from collections.abc import Iterable

# The escapes of typst's strings; other characters are escaped by their number.
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "    "})
# Characters that a PDF cannot show: controls, lone surrogates, direction marks that would
# affect text after them.
LEFT_OUT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2066-\u2069\u202a-\u202e\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
# A word that is longer than a line may be broken anywhere.
LONG = re.compile(r"[!-~\u00a1-\u052f]{60}(?=[!-~\u00a1-\u052f])")
BREAK = "\u200b"
KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# The number of characters from which a text's language and direction are detected.
LOOKED_AT = 1000


def text(value: str) -> str:
    """Return text as a string literal."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    kept = LONG.sub(lambda found: found[0] + BREAK, LEFT_OUT.sub("", value))
    return f'"{kept.translate(ESCAPES)}"'


def call(name: str, *values: str, **named: str) -> str:
    """Return the call of a function with code as its arguments."""
    pairs = (f"{key.replace('_', '-')}: {value}" for key, value in named.items())
    return f"{name}({', '.join([*pairs, *values])})"


def block(parts: Iterable[str]) -> str:
    """Return a block of code that joins the content of its parts."""
    return "{[]\n" + "\n".join(parts) + "}"


def array(values: Iterable[str]) -> str:
    """Return an array."""
    return "(" + "".join(f"{value}, " for value in values) + ")"


def is_right_to_left(value: str) -> bool:
    """Return whether the first letter with a direction is written right to left."""
    for char in value[:LOOKED_AT]:
        kind = unicodedata.bidirectional(char)
        if kind in {"L", "R", "AL"}:
            return kind != "L"
    return False


def language(value: str) -> str | None:
    """Return the language whose glyphs of Chinese characters the text needs, if it has any."""
    looked_at = value[:LOOKED_AT]
    if KANA.search(looked_at):
        return "ja"
    if HANGUL.search(looked_at):
        return "ko"
    return "zh" if HAN.search(looked_at) else None


def paragraph(value: str, body: str, *, function: str = "par") -> str:
    """Return the code of a paragraph with the direction and language of its text.

    Args:
        value: its text.
        body: its content, as code.
        function: the typst function that lays it out.
    """
    settings = []
    if is_right_to_left(value):
        settings.append("set text(dir: rtl)")
    if found := language(value):
        settings.append(f'set text(lang: "{found}")')
    made = call(function, body)
    return block([*settings, made]) if settings else made
