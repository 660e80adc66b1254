"""Notes beside messages, which a conversation's owner and commenters write."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.fields import Id
from chatvault.owned import Owned


class Note(Owned, Document):
    """A note of somebody's beside a message; no model is sent it.

    Attributes:
        user_id: the owner of the conversation.
        message_id: the message that it is about.
        author_id: who wrote it.
    """

    user_id: Id
    conversation_id: Id
    message_id: str
    author_id: Id
    content: str
    created_at: datetime
    updated_at: datetime

    holds: ClassVar = Content(words=("content",), plain=("message_id",), also_of=("author_id",))

    class Settings:
        """Beanie's."""

        name = "notes"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("conversation_id", 1), ("_id", 1)], name="of_conversation"
            ),
            IndexModel("author_id", name="by_author"),
        ]
