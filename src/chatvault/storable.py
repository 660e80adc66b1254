"""Whether a JSON value can be stored in BSON and read back as it was."""

import math
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 100
MAX_KEY: Final = 256
# The one reason that an import can mend.
LONE_SURROGATE: Final = "holds half of a surrogate pair, which is no character"

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1


class _NotStorableError(Exception):
    pass


def check_storable(value: Any, *, max_bytes: int) -> str | None:
    """Look for what BSON would refuse or change.

    Args:
        value: what a JSON parser returns; dict, list, str, int, float, bool, None.
        max_bytes: how long the value may be as compact JSON in UTF-8.

    Returns:
        The first reason found, a clause without any of the content; None if all is well.
    """
    size = 0
    # A stack of our own: what comes in may be nested deeper than Python can recurse.
    pending: list[tuple[Any, int]] = [(value, 1)]
    try:
        while pending:
            item, depth = pending.pop()
            if isinstance(item, dict | list):
                if depth > MAX_DEPTH:
                    return f"is nested deeper than {MAX_DEPTH} levels"
                # Brackets and commas.
                size += 1 + max(len(item), 1)
                if isinstance(item, dict):
                    if "$ref" in item and _is_reference(item):
                        return 'holds "$ref" beside "$id", which MongoDB takes for a reference'
                    size += sum(map(_key_size, item))
                    pending.extend([(child, depth + 1) for child in item.values()])
                else:
                    pending.extend([(child, depth + 1) for child in item])
            else:
                size += _scalar_size(item)
            if size > max_bytes:
                return f"is larger than {max_bytes:,} bytes"
    except _NotStorableError as error:
        return str(error)
    return None


def _is_reference(item: dict[Any, Any]) -> bool:
    # The driver reads these back as another type, which is no JSON.
    database = item.get("$db")
    return (
        isinstance(item["$ref"], str)
        and "$id" in item
        and (database is None or isinstance(database, str))
    )


def _key_size(key: object) -> int:
    if not isinstance(key, str):
        raise _NotStorableError("has a key that is not a text")
    if "\0" in key:
        raise _NotStorableError("has a key with a NUL character")
    if len(key) > MAX_KEY:
        raise _NotStorableError(f"has a key longer than {MAX_KEY} characters")
    return _text_size(key) + 1


def _scalar_size(item: object) -> int:
    if isinstance(item, str):
        return _text_size(item)
    if item is None or item is True:
        return 4
    if item is False:
        return 5
    if isinstance(item, int):
        if not _INT64_MIN <= item <= _INT64_MAX:
            raise _NotStorableError("holds an integer of more than 64 bits")
        return len(str(item))
    if isinstance(item, float):
        if not math.isfinite(item):
            raise _NotStorableError("holds a number that is not finite")
        return len(repr(item))
    raise _NotStorableError(f"holds a {type(item).__name__}, which JSON does not have")


def _text_size(text: str) -> int:
    try:
        return len(orjson.dumps(text))
    except TypeError:
        raise _NotStorableError(LONE_SURROGATE) from None
