"""Messages that guests write: whose words they are, and where a user wrote any."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel, UpdateOne

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.content import Content
from chatvault.conversations.grants import Grant
from chatvault.conversations.group_grants import GroupGrant
from chatvault.conversations.shapes import MessageDoc
from chatvault.fields import Id
from chatvault.owned import Owned


class Authorship(Owned, Document):
    """A conversation of somebody else's in which a user wrote; erasure of the user goes by it.

    Attributes:
        author_id: who wrote.
        owner_id: whose conversation it is.
        at: when the user wrote first.
    """

    author_id: Id
    owner_id: Id
    conversation_id: Id
    at: datetime

    owner_field: ClassVar = "owner_id"
    holds: ClassVar = Content(owner="owner_id", also_of=("author_id",))

    class Settings:
        """Beanie's."""

        name = "authorships"
        indexes: ClassVar = [
            IndexModel([("author_id", 1), ("conversation_id", 1)], unique=True, name="author"),
            IndexModel([("owner_id", 1), ("conversation_id", 1)], name="of_conversation"),
        ]


def sign(access: Access, messages: list[MessageDoc]) -> list[MessageDoc]:
    """Put the author's id on messages that a guest writes; those of the owner have none."""
    if access.grantee_id is not None:
        for message in messages:
            message["author_id"] = access.grantee_id
    return messages


def sign_again(access: Access, message: MessageDoc) -> MessageDoc:
    """Return an edited message with its new author."""
    signed = message.copy()
    signed.pop("author_id", None)
    return sign(access, [signed])[0]


def note_author(
    access: Access, conversation_id: ObjectId, at: datetime
) -> list[tuple[type[Document], UpdateOne]]:
    """Return what is written beside a guest's message, so that an erasure finds it."""
    if access.grantee_id is None:
        return []
    which = {"author_id": access.grantee_id, "conversation_id": conversation_id}
    first = {"$setOnInsert": {"at": at}}
    return [(Authorship, UpdateOne(Authorship.owned_by(access, **which), first, upsert=True))]


async def release_shared(owner_id: ObjectId, conversation_id: ObjectId) -> None:
    """Delete the grants of a deleted conversation, and the records of who wrote in it."""
    access = Access.of(Actor(door=Door.BACKGROUND, user_id=owner_id))
    for document in (Grant, GroupGrant, Authorship):
        its = document.owned_by(access, conversation_id=conversation_id)
        await document.get_pymongo_collection().delete_many(its)
