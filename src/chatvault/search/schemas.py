"""Request and response schemas of searching."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chatvault.conversations.models import MessageRole, Status
from chatvault.cursors import decode_name_cursor
from chatvault.fields import Id, Instant
from chatvault.search.terms import MOST_CHARACTERS

MOST_RESULTS = 50
DIGITS = 9


def _to_offset(text: object) -> int | None:
    """Return how many results were on the pages before."""
    name = decode_name_cursor(text)
    if name is None:
        return None
    if not (name.isascii() and name.isdigit() and len(name) <= DIGITS):
        raise PydanticCustomError("cursor", "Cursor is none that was given out")
    return int(name)


class SearchQuery(BaseModel):
    """The words to search for, and where."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS)] = Field(
        description='words, each of which must be there; `"a phrase"`, `-without`, `title:word`, '
        "`begin*`"
    )
    typing: bool = Field(
        default=False, description="the query is still being typed: its last word may continue"
    )
    role: MessageRole | None = Field(None, description="only messages of this role")
    agent_id: Id | None = Field(None, description="only conversations with this agent")
    tag: str | None = Field(None, max_length=255, description="only conversations with this tag")
    category: Id | None = Field(
        None, description="only conversations in this category or in one within it"
    )
    status: Status | None = None
    since: Instant | None = Field(None, alias="from", description="only messages from this time on")
    until: Instant | None = Field(None, alias="to", description="only messages before this time")
    conversation_id: Id | None = Field(None, description="only this conversation")
    limit: int = Field(20, ge=1, le=MOST_RESULTS)
    cursor: Annotated[
        Any,
        BeforeValidator(_to_offset),
        Field(
            description="`next_cursor` of the page before",
            json_schema_extra={"type": "string"},
        ),
    ] = None


class PieceOut(BaseModel):
    """A part of a snippet.

    Attributes:
        mark: whether it was searched for.
    """

    text: str
    mark: bool


class HitOut(BaseModel):
    """A message that was found.

    Attributes:
        score: a higher one fits better; only within one answer.
        snippet: the part of the text with the words.
    """

    message_id: str
    seq: int
    role: str | None
    timestamp: Instant | None
    score: float
    snippet: list[PieceOut]


class FoundConversationOut(BaseModel):
    """The conversation of a hit.

    Attributes:
        title_marks: the title in parts, if the words are in it.
        tags: none of a conversation that another user shares.
        owner_id: that user; null for my own.
    """

    id: Id
    title: str
    title_marks: list[PieceOut] | None
    tags: list[str]
    status: Status
    agent_id: Id
    updated_at: Instant
    last_message_at: Instant | None
    owner_id: Id | None


class ResultOut(BaseModel):
    """A conversation with messages that were found, best first; none if only its title was."""

    conversation: FoundConversationOut
    hits: list[HitOut]


class SearchOut(BaseModel):
    """The results of a search, best first.

    Attributes:
        total: how many messages and titles fit.
        about: whether the total is an estimate.
        indexed: the share of my messages that was searched, from 0 to 1.
        next_cursor: of the page after this one; null at the end.
    """

    results: list[ResultOut]
    total: int
    about: bool
    indexed: float
    took_ms: float
    next_cursor: str | None
