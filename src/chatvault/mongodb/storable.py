"""Whether a JSON value can be stored in BSON and read back as it was."""

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 100
MAX_KEY: Final = 256
# The one problem that an import can repair.
LONE_SURROGATE: Final = "holds half of a surrogate pair, which is no character"

# Lists and objects are checked in batches of this size, as there may be very many.
_BATCH: Final = 4096
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1


class _NotStorableError(Exception):
    pass


def check_storable(value: Any, *, max_bytes: int) -> str | None:
    """Return what BSON would refuse or change in a JSON value, or None.

    Args:
        value: what a JSON parser returns; dict, list, str, int, float, bool, None.
        max_bytes: the limit of the value's size as compact JSON in UTF-8.

    Returns:
        The first reason found, a clause without any of the content; None if there is none.
    """
    try:
        size, containers = _scalars_size([value])
        # An explicit stack: the value may be nested deeper than Python can recurse.
        pending = [(containers, 1)] if containers else []
        while size <= max_bytes and pending:
            batch, depth = pending.pop()
            if depth > MAX_DEPTH:
                return f"is nested deeper than {MAX_DEPTH} levels"
            # The brackets and commas first; the items between them may be millions.
            size += sum([1 + (len(each) or 1) for each in batch])
            if size <= max_bytes:
                found, containers = _size_within(batch)
                size += found
                starts = range(0, len(containers), _BATCH)
                pending += [(containers[start : start + _BATCH], depth + 1) for start in starts]
    except _NotStorableError as error:
        return str(error)
    return None if size <= max_bytes else f"is larger than {max_bytes:,} bytes"


def _size_within(batch: list[Any]) -> tuple[int, list[Any]]:
    """Return the size of the keys and scalars in containers, and the containers in them."""
    objects = [each for each in batch if isinstance(each, dict)]
    if not objects:
        return _scalars_size(chain.from_iterable(batch))
    if any("$ref" in each and _is_reference(each) for each in objects):
        raise _NotStorableError('holds "$ref" beside "$id", which MongoDB takes for a reference')
    children = [each.values() if isinstance(each, dict) else each for each in batch]
    size, containers = _scalars_size(chain.from_iterable(children))
    return size + _keys_size(list(chain.from_iterable(objects))), containers


def _is_reference(item: dict[Any, Any]) -> bool:
    # The driver reads these back as another type, which is not JSON.
    database = item.get("$db")
    return (
        isinstance(item["$ref"], str)
        and "$id" in item
        and (database is None or isinstance(database, str))
    )


def _keys_size(keys: list[Any]) -> int:
    if not keys:
        return 0
    if not all(isinstance(key, str) for key in keys):
        raise _NotStorableError("has a key that is not a text")
    if "\0" in "".join(keys):
        raise _NotStorableError("has a key with a NUL character")
    if max(map(len, keys)) > MAX_KEY:
        raise _NotStorableError(f"has a key longer than {MAX_KEY} characters")
    return _texts_size(keys) + len(keys)


def _scalars_size(values: Iterable[Any]) -> tuple[int, list[Any]]:
    """Return the size of the scalars among the values, and the containers among them."""
    by_kind: dict[type, list[Any]] = {}
    for value in values:
        by_kind.setdefault(type(value), []).append(value)
    size = 0
    containers: list[Any] = []
    for kind, alike in by_kind.items():
        if issubclass(kind, dict | list):
            containers += alike
        else:
            size += _alike_size(kind, alike)
    return size, containers


def _alike_size(kind: type, values: list[Any]) -> int:
    """Return the size of scalars that have the same type."""
    if issubclass(kind, str):
        return _texts_size(values)
    if issubclass(kind, bool):
        return 5 * len(values) - values.count(True)
    if kind is type(None):
        return 4 * len(values)
    if issubclass(kind, int):
        if min(values) < _INT64_MIN or max(values) > _INT64_MAX:
            raise _NotStorableError("holds an integer of more than 64 bits")
        return len(orjson.dumps(values)) - len(values) - 1
    if issubclass(kind, float):
        if not all(map(math.isfinite, values)):
            raise _NotStorableError("holds a number that is not finite")
        return sum(map(len, map(repr, values)))
    raise _NotStorableError(f"holds a {kind.__name__}, which JSON does not have")


def _texts_size(texts: list[str]) -> int:
    try:
        return len(orjson.dumps(texts)) - len(texts) - 1
    except TypeError:
        raise _NotStorableError(LONE_SURROGATE) from None
