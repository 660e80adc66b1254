"""Field types that models and schemas share: ids, instants, free-form JSON."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from bson import ObjectId
from pydantic import (
    AfterValidator,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from chatvault.errors import InvalidInput
from chatvault.mongodb.storable import check_storable

# A document whose shape is not known here: free-form JSON, a filter, an update.
Raw = dict[str, Any]
MAX_FREE_BYTES = 256 * 1024
_MILLISECONDS = len('"2024-01-15T10:30:00.000')


def _to_object_id(value: object) -> ObjectId:
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and len(value) == 24 and ObjectId.is_valid(value):  # noqa: PLR2004  # hex digits
        return ObjectId(value)
    raise PydanticCustomError("object_id", "Id should be 24 hexadecimal digits")


Id = Annotated[
    ObjectId,
    PlainValidator(_to_object_id),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}),
]


def now() -> datetime:
    """Return the time in UTC, cut to the milliseconds that BSON keeps."""
    value = datetime.now(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def first_day(days: int) -> str:
    """Return the first of that many days up to today, in UTC, as 2024-01-15."""
    return (now() - timedelta(days=days - 1)).strftime("%Y-%m-%d")


def end_of_today() -> datetime:
    """Return the next midnight in UTC."""
    return now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def to_milliseconds(value: datetime) -> datetime:
    """Return the instant in UTC, cut to milliseconds; a time without zone is taken as UTC."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_range", "Time is out of range") from None
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def format_instant(value: datetime) -> str:
    """Format as RFC 3339 in UTC with milliseconds and `Z`, as in 2024-01-15T10:30:00.000Z.

    A time without zone is one in UTC.
    """
    if value.tzinfo is not None:
        value = value.replace(tzinfo=None)
    if value.microsecond:
        # This takes a third of isoformat's time, and isoformat omits the fraction of a whole
        # second.
        return orjson.dumps(value)[1:_MILLISECONDS].decode() + "Z"
    return value.isoformat(timespec="milliseconds") + "Z"


Instant = Annotated[
    datetime,
    AfterValidator(to_milliseconds),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def check_free(value: Any) -> Any:
    """Return the JSON value; raise unless BSON holds it without loss and it is not too large.

    Raises:
        PydanticCustomError: with the reason.
    """
    reason = check_storable(value, max_bytes=MAX_FREE_BYTES)
    if reason is not None:
        raise PydanticCustomError("not_storable", "{reason}", {"reason": reason})
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with a JSON Merge Patch (RFC 7396) applied; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def check_merged(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the merged object; raise unless it is valid free-form JSON.

    Raises:
        InvalidInput: it became too large or too deep.
    """
    reason = check_storable(value, max_bytes=MAX_FREE_BYTES)
    if reason is not None:
        raise InvalidInput.in_field("body", name, problem=reason, kind="not_storable")
    return value


def count_changed_keys(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Return how many keys were added, removed or changed; the audit log has only this number."""
    missing = object()
    return sum(
        before.get(key, missing) != after.get(key, missing) for key in before.keys() | after.keys()
    )


# Data of a frontend's own: any JSON object that BSON holds without loss.
FreeObject = Annotated[
    dict[str, Any], AfterValidator(check_free), WithJsonSchema({"type": "object"})
]
