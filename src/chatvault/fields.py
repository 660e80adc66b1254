"""Field types that models and schemas share: ids, instants, free JSON."""

from datetime import UTC, datetime
from typing import Annotated, Any

from bson import ObjectId
from pydantic import (
    AfterValidator,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from chatvault.storable import check_storable

MAX_FREE_BYTES = 256 * 1024


def _to_object_id(value: object) -> ObjectId:
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and len(value) == 24 and ObjectId.is_valid(value):  # noqa: PLR2004  # hex digits
        return ObjectId(value)
    raise PydanticCustomError("object_id", "Id should be 24 hexadecimal digits")


Id = Annotated[
    ObjectId,
    PlainValidator(_to_object_id),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}),
]


def now() -> datetime:
    """The time in UTC, cut to the milliseconds that BSON keeps."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(value: datetime) -> datetime:
    """The instant in UTC, cut to milliseconds; a time without zone is taken as UTC."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_range", "Time is out of range") from None
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`, as in 2024-01-15T10:30:00.000Z."""
    return f"{value.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


Instant = Annotated[
    datetime,
    AfterValidator(to_milliseconds),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _check_free(value: Any) -> Any:
    reason = check_storable(value, max_bytes=MAX_FREE_BYTES)
    if reason is not None:
        raise PydanticCustomError("not_storable", "{reason}", {"reason": reason})
    return value


# What a frontend may keep of its own: any JSON object that BSON holds without loss.
FreeObject = Annotated[
    dict[str, Any], AfterValidator(_check_free), WithJsonSchema({"type": "object"})
]
