"""The stored parts of a message that holds more than text.

`content` has the text of the text parts; a message of only text has no parts.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, cast

from pydantic import ConfigDict, WithJsonSchema, with_config
from typing_extensions import (
    TypedDict,
)  # pydantic accepts typing's TypedDict only from Python 3.12 on

from chatvault.fields import Raw

# The origin of a message's time: the source, a neighbouring message, the conversation, or the
# time of the import. A message without this field has its own time.
TimeSource = Literal["exact", "neighbour", "conversation", "import"]
TIME_SOURCES: Final[tuple[TimeSource, ...]] = ("exact", "neighbour", "conversation", "import")
MAX_PARTS: Final = 1_000
_Object = Annotated[Raw, WithJsonSchema({"type": "object"})]
# A part is stored unchanged: absent fields are not null.
_EXACT: Final = ConfigDict(extra="forbid", strict=True)


@with_config(_EXACT)
class TextPart(TypedDict):
    """Visible text. `extra`: further fields, here and in other parts."""

    type: Literal["text"]
    text: str
    extra: NotRequired[_Object]


@with_config(_EXACT)
class ThinkingPart(TypedDict):
    """A model's reasoning before its answer: in full, as a summary, or both."""

    type: Literal["thinking"]
    text: NotRequired[str]
    summary: NotRequired[list[str]]
    duration_s: NotRequired[float]
    signature: NotRequired[str]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class ToolCallPart(TypedDict):
    """A call of a tool; `input` is JSON, or the text that the model wrote."""

    type: Literal["tool_call"]
    id: NotRequired[str]
    name: str
    input: Any
    extra: NotRequired[_Object]


@with_config(_EXACT)
class ToolResultPart(TypedDict):
    """The result of a tool; `call_id` is the call's `id`."""

    type: Literal["tool_result"]
    call_id: NotRequired[str]
    name: NotRequired[str]
    output: Any
    is_error: NotRequired[bool]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class FilePart(TypedDict):
    """A reference to an attachment.

    Attributes:
        attachment_id: one of the conversation's attachments.
        transcript: the transcript of a recording.
        text: the extracted text of a document.
    """

    type: Literal["file"]
    attachment_id: str
    name: NotRequired[str]
    mime: NotRequired[str]
    size: NotRequired[int]
    width: NotRequired[int]
    height: NotRequired[int]
    source_ref: NotRequired[str]
    transcript: NotRequired[str]
    text: NotRequired[str]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class CitationPart(TypedDict):
    """A source that the content cites; `start` and `end` are positions in the content."""

    type: Literal["citation"]
    url: NotRequired[str]
    title: NotRequired[str]
    quote: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class RawPart(TypedDict):
    """Content of a kind without a part of its own, unchanged from its source."""

    type: Literal["raw"]
    source_type: str
    value: Any


Part = TextPart | ThinkingPart | ToolCallPart | ToolResultPart | FilePart | CitationPart | RawPart


def with_text(parts: Sequence[Part], text: str) -> list[Part] | None:
    """Return the parts with this text in place of theirs; None if nothing but the text is left.

    It takes the position of the first text. Positions of citations, which refer to the old text,
    are removed.
    """
    found: list[Part] = []
    is_placed = False
    for part in parts:
        if part["type"] == "citation":
            kept = {name: value for name, value in part.items() if name not in {"start", "end"}}
            found.append(cast("CitationPart", kept))
        elif part["type"] != "text":
            found.append(part)
        elif not is_placed:
            found.append({"type": "text", "text": text})
            is_placed = True
    if not is_placed and text:
        found.insert(0, {"type": "text", "text": text})
    return None if all(part["type"] == "text" for part in found) else found
