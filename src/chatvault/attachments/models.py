"""The documents of attachments: what is known of a file, and its bytes, once for a user."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from beanie import Document
from pymongo import IndexModel

from chatvault.access import Access
from chatvault.content import Content, Erased
from chatvault.fields import Id, Raw

AttachmentState = Literal["present", "absent", "expired"]


class Attachment(Document):
    """What is known of a file beside a conversation.

    Attributes:
        attachment_id: unique in the conversation; parts of messages name it.
        mime: the media type that its source or its uploader states.
        source_ref: what its source calls it.
        state: `absent` where the bytes were never here, `expired` where the source has none.
        file: the file with the bytes, if they are here.
    """

    user_id: Id
    conversation_id: Id
    attachment_id: str
    name: str | None = None
    mime: str | None = None
    size: int | None = None
    source_ref: str | None = None
    state: AttachmentState
    file: Id | None = None
    created_at: datetime

    holds: ClassVar = Content(words=("name", "source_ref"), plain=("attachment_id", "mime"))

    class Settings:
        """Beanie's."""

        name = "attachments"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("conversation_id", 1), ("attachment_id", 1)],
                unique=True,
                name="attachment_unique",
            ),
            IndexModel([("user_id", 1), ("file", 1)], name="uses"),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an actor's attachments begins with."""
        return {"user_id": access.owner_id, **more}


class AttachmentFile(Document):
    """Bytes of a user's that one attachment or several have.

    Attributes:
        mac: a keyed MAC of the bytes; absent while they are written, and when they are to go.
        size: in bytes.
        check_at: when to look whether an attachment still has it; None where nothing changed.
    """

    user_id: Id
    mac: str | None = None
    size: int
    check_at: datetime | None = None

    holds: ClassVar = Content(plain=("mac",))

    class Settings:
        """Beanie's."""

        name = "attachment_files"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("mac", 1)],
                unique=True,
                partialFilterExpression={"mac": {"$type": "string"}},
                name="mac_unique",
            ),
            IndexModel(
                "check_at",
                partialFilterExpression={"check_at": {"$type": "date"}},
                name="to_check",
            ),
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an actor's files begins with."""
        return {"user_id": access.owner_id, **more}


class AttachmentPart(Document):
    """Some bytes of a file.

    Attributes:
        no: how many parts are before it.
        data: at most 255 KB; bytes.
    """

    user_id: Id
    file: Id
    no: int
    data: Any

    holds: ClassVar = Content(words=("data",), erased=Erased.WITH_OWNER)

    class Settings:
        """Beanie's."""

        name = "attachment_parts"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("file", 1), ("no", 1)], unique=True, name="part_unique")
        ]

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter that every query of an actor's parts begins with."""
        return {"user_id": access.owner_id, **more}
