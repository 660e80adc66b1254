"""The parts of a message in the API, and how they are recognised.

Clients of earlier versions could store any value of their own under `parts`, `hidden` and
`time_source`. So only values of the right shape belong to chatvault; others are the client's.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from chatvault.conversations.parts import MAX_PARTS, TIME_SOURCES, Part
from chatvault.mongodb.storable import check_storable

MAX_PARTS_BYTES: Final = 1024 * 1024
# Types of parts that no other program uses with the same fields.
_ONLY_OURS: Final = frozenset({"thinking", "tool_call", "tool_result", "citation", "raw"})
AnyPart = Annotated[Part, Field(discriminator="type")]
_PART: Final[TypeAdapter[Any]] = TypeAdapter(AnyPart)
_PARTS: Final[TypeAdapter[Any]] = TypeAdapter(list[AnyPart])


class Parts(list[Any]):
    """Valid parts, as the client sent them."""


def _recognise_parts(value: Any) -> Any:
    """Return a list of parts as `Parts`, and any other value unchanged.

    Raises:
        ValidationError: some parts have types that only chatvault has, and others are invalid.
        PydanticCustomError: they are too many or too large, or cannot be stored.
    """
    if not isinstance(value, list) or not value:
        return value
    try:
        _PARTS.validate_python(value[:MAX_PARTS])
    except ValidationError:
        if any(map(_is_only_ours, value[:MAX_PARTS])):
            raise
        return value
    if len(value) > MAX_PARTS:
        raise PydanticCustomError("too_long", f"has more than {MAX_PARTS:,} parts")
    reason = check_storable(value, max_bytes=MAX_PARTS_BYTES)
    if reason is not None:
        raise PydanticCustomError("not_storable", "{reason}", {"reason": reason})
    return Parts(value)


def _is_only_ours(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _ONLY_OURS:
        return False
    try:
        _PART.validate_python(value)
    except ValidationError:
        return False
    return True


def is_own(name: str, value: Any) -> bool:
    """Whether the value of `parts`, `hidden` or `time_source` is chatvault's, not the client's."""
    if name == "parts":
        return isinstance(value, Parts)
    if name == "hidden":
        return isinstance(value, bool)
    return isinstance(value, str) and value in TIME_SOURCES


GivenParts = Annotated[
    Any,
    PlainValidator(_recognise_parts, json_schema_input_type=list[AnyPart] | Any),
    Field(
        description="the message's parts, if it holds more than text, up to 1,000 and 1 MB; "
        "a list of another shape is kept as a further field"
    ),
]
GivenHidden = Annotated[
    Any,
    PlainValidator(lambda value: value, json_schema_input_type=bool | Any),
    Field(description="true: left out of exports for people and of models' context"),
]
GivenTimeSource = Annotated[
    Any,
    PlainValidator(
        lambda value: value,
        json_schema_input_type=Literal["exact", "neighbour", "conversation", "import"] | Any,
    ),
    Field(description="where the timestamp comes from; absent means that it is the message's own"),
]
ShownParts = list[AnyPart] | Any
ShownHidden = bool | Any
ShownUnreadable = Annotated[
    bool | Any,
    Field(description="true: what is stored of the message does not open"),
]
ShownTimeSource = Literal["exact", "neighbour", "conversation", "import"] | Any
