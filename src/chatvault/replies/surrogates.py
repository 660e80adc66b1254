"""Join characters that a provider split in two, one half at the end of an event's text.

JSON writes a character beyond the first 65,536, such as an emoji, as two escapes. Some providers
stream one token at a time and send the two in two events.
"""

from collections.abc import Hashable
from typing import Any

Place = tuple[Hashable, ...]


class Halves:
    """Keeps the first half of a split character until the next text of the same place arrives."""

    def __init__(self) -> None:
        self._kept: dict[Place, str] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether a first half waits for its second."""
        return bool(self._kept)

    def join(self, value: Any, place: Place = ()) -> Any:
        """Return an event's value with whole characters only.

        A first half at the end of a text is kept for the next text of its place; one without a
        second half is dropped. Any other half becomes U+FFFD.

        Args:
            value: what a JSON parser returns.
            place: the value's path in the event.
        """
        if isinstance(value, str):
            return self._join_text(value, place)
        if isinstance(value, list):
            return [
                self.join(item, (*place, _number_of(item, position)))
                for position, item in enumerate(value)
            ]
        if isinstance(value, dict):
            return {
                _replace_halves(key): self.join(item, (*place, key)) for key, item in value.items()
            }
        return value

    def _join_text(self, text: str, place: Place) -> str:
        text = self._kept.pop(place, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._kept[place] = text[-1]
            text = text[:-1]
        return _replace_halves(text)


def _number_of(item: object, position: int) -> Hashable:
    """Return the `index` of a choice or tool call; else its place in the list."""
    number = item.get("index") if isinstance(item, dict) else None
    return number if isinstance(number, int) else position


def _replace_halves(text: str) -> str:
    # Two adjacent halves become their character.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
