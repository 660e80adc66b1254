"""The parts of a message: what it holds beside its words, as it is stored.

`content` has the words of the text parts; a message whose content says it all has no parts.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, cast

from pydantic import ConfigDict, WithJsonSchema, with_config
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on

from chatvault.fields import Raw

# Where a message's time comes from: the source, a message beside it, the conversation, or the
# time of the import. A message that does not say has its own time.
TimeSource = Literal["exact", "neighbour", "conversation", "import"]
TIME_SOURCES: Final[tuple[TimeSource, ...]] = ("exact", "neighbour", "conversation", "import")
MAX_PARTS: Final = 1_000
_Object = Annotated[Raw, WithJsonSchema({"type": "object"})]
# A part is stored as it is given: fields that are absent are not null.
_EXACT: Final = ConfigDict(extra="forbid", strict=True)


@with_config(_EXACT)
class TextPart(TypedDict):
    """Words that everybody sees. `extra`: further fields, here and in other parts."""

    type: Literal["text"]
    text: str
    extra: NotRequired[_Object]


@with_config(_EXACT)
class ThinkingPart(TypedDict):
    """What a model thought before it answered: in full, summed up, or both."""

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
    """What a tool answered; `call_id` is the call's `id`."""

    type: Literal["tool_result"]
    call_id: NotRequired[str]
    name: NotRequired[str]
    output: Any
    is_error: NotRequired[bool]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class FilePart(TypedDict):
    """A place where an attachment is shown.

    Attributes:
        attachment_id: one of the conversation's attachments.
        transcript: what was said in a recording.
        text: what was extracted from a document.
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
    """A source of what is said; `start` and `end` are places in the content."""

    type: Literal["citation"]
    url: NotRequired[str]
    title: NotRequired[str]
    quote: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    extra: NotRequired[_Object]


@with_config(_EXACT)
class RawPart(TypedDict):
    """What has no other part, as its source had it."""

    type: Literal["raw"]
    source_type: str
    value: Any


Part = TextPart | ThinkingPart | ToolCallPart | ToolResultPart | FilePart | CitationPart | RawPart


def with_text(parts: Sequence[Part], text: str) -> list[Part] | None:
    """Return the parts with this text instead of theirs; None where the text says it all.

    It stands where the first text stood. Places of citations were places in the text before.
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
