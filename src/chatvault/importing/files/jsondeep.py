"""Parse JSON without recursion: values nested deeply, and the outline of a long text's beginning.

It is much slower than the standard library's parser, and used only where that one fails.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

# Enough for 5,000 messages in an export that nests each answer in its question.
MAX_NESTING: Final = 10_000

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
      (?P<mark>[\[\]{},:])
    | "(?P<text>[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"
    | (?P<word>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|NaN|-?Infinity)
    )""",
    re.VERBOSE | re.DOTALL,
)
_WHOLE_ESCAPES = re.compile(r"(?:[^\\]|\\u[0-9a-fA-F]{4}|\\[^u])*")
_OPEN_STRING = re.compile(r'\s*"[^"\\]*(?:\\.[^"\\]*)*\\?\Z', re.DOTALL)
_SCALARS = json.JSONDecoder()


class DeepError(ValueError):
    """The value is nested deeper than can be read."""


def parse_deep(text: str, at: int, *, most: int = MAX_NESTING) -> tuple[Any, int]:
    """Parse the value at a position; return it and the position of its end.

    Args:
        text: the JSON text.
        at: the position at which the value begins.
        most: how deep it may be nested.

    Raises:
        DeepError: It is nested too deeply.
        JSONDecodeError: It is no JSON, or cut off.
    """
    parser = _Parser(text, at, most=most)
    while not parser.done:
        parser.step()
    return parser.value, parser.at


def outline(text: str, at: int = 0, *, most: int, longest: int = 200) -> tuple[Any, int, bool]:
    """Parse the beginning of a text as far as possible.

    Args:
        text: the beginning of a file.
        at: where to begin.
        most: how many tokens to look at.
        longest: the number of characters to which strings are shortened.

    Returns:
        The value with what was found of it, where reading stopped, and whether it is whole. None
        for no value.
    """
    parser = _Parser(text, at, longest=longest)
    for _ in range(most):
        try:
            parser.step()
        except ValueError:
            break
        if parser.done:
            return parser.value, parser.at, True
    return parser.value, parser.at, False


@dataclass(slots=True)
class _Parser:
    """Parses one value token by token, with a stack of open containers.

    `wants` is one of "value", "value or end", "key", "key or end", "colon", "comma or end".
    """

    text: str
    at: int
    longest: int | None = None
    most: int = MAX_NESTING
    value: Any = None
    done: bool = False
    wants: str = "value"
    stack: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def step(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            if _OPEN_STRING.match(self.text, self.at):
                raise json.JSONDecodeError("Unterminated string starting at", self.text, self.at)
            raise json.JSONDecodeError("Expecting a token", self.text, self.at)
        kind, token = match.lastgroup, match[match.lastgroup or 0]
        if kind == "mark":
            self._mark(token)
        elif kind == "text" and self.wants.startswith("key"):
            self.keys.append(self._string(token))
            self.wants = "colon"
        elif self.wants.startswith("value"):
            self._put(self._string(token) if kind == "text" else _scalar(token))
        else:
            raise json.JSONDecodeError("Expecting a delimiter", self.text, self.at)
        self.at = match.end()

    def _mark(self, mark: str) -> None:
        is_list = bool(self.stack) and isinstance(self.stack[-1], list)
        if mark in "[{" and self.wants.startswith("value"):
            if len(self.stack) >= self.most:
                raise DeepError
            opened: Any = [] if mark == "[" else {}
            self._put(opened, opens=True)
        elif mark in "]}" and self.wants.endswith("end") and is_list == (mark == "]"):
            self.stack.pop()
            self._after_value()
        elif mark == "," and self.wants == "comma or end":
            self.wants = "value" if is_list else "key"
        elif mark == ":" and self.wants == "colon":
            self.wants = "value"
        else:
            raise json.JSONDecodeError("Expecting something else", self.text, self.at)

    def _put(self, item: Any, *, opens: bool = False) -> None:
        if not self.stack:
            self.value = item
        elif isinstance(self.stack[-1], list):
            self.stack[-1].append(item)
        else:
            self.stack[-1][self.keys.pop()] = item
        if opens:
            self.stack.append(item)
            self.wants = "value or end" if isinstance(item, list) else "key or end"
        else:
            self._after_value()

    def _after_value(self) -> None:
        self.done = not self.stack
        self.wants = "comma or end"

    def _string(self, raw: str) -> str:
        if self.longest is not None and len(raw) > self.longest:
            whole = _WHOLE_ESCAPES.match(raw[: self.longest])
            raw = whole[0] if whole else ""
        if "\\" not in raw:
            return raw
        found: str = _SCALARS.decode(f'"{raw}"')
        return found


def _scalar(word: str) -> Any:
    # Python refuses to read integers of thousands of digits with a bare ValueError.
    return _SCALARS.decode(word[:32] if word.lstrip("-").isdigit() else word)
