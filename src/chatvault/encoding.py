"""JSON of stored documents and of pydantic models."""

from datetime import datetime

import orjson
from bson import ObjectId
from pydantic import BaseModel

from chatvault.fields import format_instant


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def to_json(value: object) -> bytes:
    """Encode raw documents and models as JSON; instants end in milliseconds and `Z`."""
    return orjson.dumps(value, default=_encode, option=orjson.OPT_PASSTHROUGH_DATETIME)
