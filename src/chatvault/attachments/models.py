"""The documents of attachments: the metadata of a file, and its bytes, stored once for a user."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from beanie import Document
from pymongo import IndexModel

from chatvault.content import Content, Erased
from chatvault.fields import Id
from chatvault.owned import Owned

AttachmentState = Literal["present", "absent", "expired"]


class Attachment(Owned, Document):
    """The metadata of a file that belongs to a conversation.

    Attributes:
        attachment_id: unique in the conversation; parts of messages refer to it.
        mime: the media type given by its source or its uploader.
        source_ref: its name or id in its source.
        state: `absent` if the bytes were never stored, `expired` if the source has none.
        file: the id of the file with the bytes, if they are stored.
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

    holds: ClassVar = Content(
        words=("name", "source_ref"),
        plain=("attachment_id", "mime"),
        bound_to=("conversation_id", "attachment_id"),
    )

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


class AttachmentFile(Owned, Document):
    """Bytes that one or several attachments of a user have.

    Attributes:
        mac: a keyed MAC of the bytes; absent while they are written or removed.
        size: in bytes.
        check_at: when the garbage collection checks whether it is still used; None for no check.
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


class AttachmentPart(Owned, Document):
    """Some bytes of a file.

    Attributes:
        no: the number of parts before it.
        data: the bytes, at most 255 KB.
    """

    user_id: Id
    file: Id
    no: int
    data: Any

    holds: ClassVar = Content(words=("data",), bound_to=("file", "no"), erased=Erased.WITH_OWNER)

    class Settings:
        """Beanie's."""

        name = "attachment_parts"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("file", 1), ("no", 1)], unique=True, name="part_unique")
        ]
