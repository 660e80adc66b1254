"""Request and response schemas of attachments."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatvault.conversations.schemas import ConversationPath
from chatvault.fields import Instant

AttachmentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]


class AttachmentPath(ConversationPath):
    """The path of one attachment."""

    attachment_id: AttachmentId


class AttachmentQuery(BaseModel):
    """The name of an uploaded file."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="the file's name"
    )


class AttachmentHeaders(BaseModel):
    """The media type of an uploaded file, and the requested range of a file."""

    range: str = Field(
        "", alias="Range", max_length=255, description="one range of bytes, as `bytes=0-1023`"
    )


class AttachmentOut(BaseModel):
    """The metadata of a file that belongs to a conversation.

    Attributes:
        id: parts of messages refer to it as `attachment_id`.
        mime: given by its source or its uploader; files are served as this or as bytes.
        state: `present`: its bytes can be read; `absent`: they were never stored; `expired`: its
            source no longer has them.
    """

    id: str
    name: str | None
    mime: str | None
    size: int | None
    source_ref: str | None
    state: Literal["present", "absent", "expired"]
    created_at: Instant


class AttachmentsOut(BaseModel):
    """All attachments of a conversation, in the order of their ids."""

    attachments: list[AttachmentOut]
