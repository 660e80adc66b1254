"""Request and response schemas of notes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import NotFound
from chatvault.fields import Id, Instant, Raw

NoteText = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class NoteIn(BaseModel):
    """A note to write."""

    model_config = ConfigDict(extra="forbid")

    message_id: str = Field(min_length=1, max_length=255, description="the message it is about")
    content: NoteText


class NoteEdit(BaseModel):
    """The new text of a note."""

    model_config = ConfigDict(extra="forbid")

    content: NoteText


class NotePath(ConversationPath):
    """The path of one note."""

    note_id: Id

    @staticmethod
    def absent() -> NotFound:
        """Return the error for a malformed id."""
        return NotFound("Note not found")


class NotesQuery(BaseModel):
    """The query of a conversation's notes."""

    model_config = ConfigDict(extra="forbid")

    message_id: str | None = Field(None, max_length=255, description="only of this message")


class NoteOut(BaseModel):
    """A note beside a message."""

    id: Id
    message_id: str
    author_id: Id
    content: str
    created_at: Instant
    updated_at: Instant


class NotesOut(BaseModel):
    """The notes of a conversation."""

    notes: list[NoteOut]


def note_wire(note: Raw) -> NoteOut:
    """Return a stored note as the API shows it."""
    names = NoteOut.model_fields.keys() - {"id"}
    return NoteOut(id=note["_id"], **{name: note[name] for name in names})
