"""A conversation as one group of changes sees it: what was read, and what was decided since."""

from datetime import datetime
from typing import Any

import bson
from bson import ObjectId
from pymongo import DeleteOne, InsertOne, UpdateOne

from chatvault.audit.recorder import Entry
from chatvault.conversations.models import Raw
from chatvault.errors import NotFound, StaleVersion, TooLarge

# What is left of MongoDB's 16 MB goes to metadata, title and field names.
MAX_MESSAGE_BYTES = 15 * 1024 * 1024
Write = InsertOne[Raw] | UpdateOne | DeleteOne


class Draft:
    """One conversation while a group decides.

    Decisions are made on the head (the document without its messages) and are written as one
    statement, filtered by owner and version, so that nobody else's change is ever overwritten.

    Args:
        owner_id: whose conversation; part of every filter.
        head: the stored fields that were read, or None where there is no such conversation.
    """

    def __init__(self, owner_id: ObjectId, head: Raw | None) -> None:
        self.owner_id = owner_id
        self.entries: list[Entry] = []
        self._head = None if head is None else dict(head)
        self._read_version: int | None = head["version"] if head else None
        self._known = {message["id"]: message for message in (head or {}).get("known", ())}
        self._fields: Raw = {}
        self._pushed: list[Raw] = []
        self._replaced = False
        self._inserted: Raw | None = None
        self._deleted = False

    @property
    def exists(self) -> bool:
        """Whether there is such a conversation now."""
        return self._head is not None and not self._deleted

    @property
    def head(self) -> Raw:
        """The fields as decided so far.

        Raises:
            NotFound: there is no such conversation, or no more.
        """
        if self._head is None or self._deleted:
            raise NotFound("Conversation not found")
        return self._head

    def require_version(self, versions: frozenset[int] | None) -> None:
        """Let only these versions pass; None lets any pass.

        Raises:
            NotFound: there is no such conversation.
            StaleVersion: the conversation has another version.
        """
        if versions is not None and self.head["version"] not in versions:
            raise StaleVersion

    def known_message(self, message_id: str) -> Raw | None:
        """The stored message with this id, of those ids that the change asked about."""
        return self._known.get(message_id)

    def insert(self, document: Raw) -> None:
        """Decide that the conversation begins, without messages yet."""
        self._inserted = self._head = document

    def set(self, at: datetime, **fields: Any) -> None:
        """Decide new values of fields."""
        self._set(**fields)
        self._touch(at)

    def append(self, messages: list[Raw], at: datetime, last_message_at: datetime | None) -> None:
        """Decide that messages come at the end; each is given its `seq`.

        Raises:
            TooLarge: the conversation would not fit MongoDB's limit.
        """
        head = self.head
        if not messages:
            return
        size = sum(len(bson.encode(message)) for message in messages)
        if head["message_bytes"] + size > MAX_MESSAGE_BYTES:
            raise TooLarge("The conversation's messages may have at most 15 MB together.")
        for seq, message in enumerate(messages, head["next_seq"]):
            message["seq"] = seq
            self._known[message["id"]] = message
        self._pushed += messages
        self._set(
            total_messages=head["total_messages"] + len(messages),
            message_bytes=head["message_bytes"] + size,
            next_seq=head["next_seq"] + len(messages),
            last_message_at=last_message_at,
        )
        self._touch(at)

    def clear_messages(self, at: datetime) -> None:
        """Decide that all messages go; the next one still gets the next `seq`."""
        self._replaced = True
        self._pushed = []
        self._known = {}
        self._set(
            total_messages=0,
            message_bytes=0,
            first_seq=self.head["next_seq"],
            last_message_at=None,
        )
        self._touch(at)

    def delete(self) -> None:
        """Decide that the conversation ends."""
        self._deleted = bool(self.head)

    def _set(self, **fields: Any) -> None:
        self.head.update(fields)
        self._fields.update(fields)

    def _touch(self, at: datetime) -> None:
        head = self.head
        self._set(updated_at=max(at, head["updated_at"]))
        if self._inserted is None:
            # One version for all that a group decides would hide changes from each other.
            self._set(version=head["version"] + 1)

    def write(self) -> Write | None:
        """The one statement that makes the decisions true; None where there is nothing to do."""
        if self._inserted is not None:
            return (
                None if self._deleted else InsertOne({**self._inserted, "messages": self._pushed})
            )
        if self._head is None:
            return None
        stored = {
            "_id": self._head["_id"],
            "user_id": self.owner_id,
            "version": self._read_version,
        }
        if self._deleted:
            return DeleteOne(stored)
        if not self._fields:
            return None
        update: Raw = {"$set": dict(self._fields)}
        if self._replaced:
            update["$set"]["messages"] = self._pushed
        elif self._pushed:
            update["$push"] = {"messages": {"$each": self._pushed}}
        return UpdateOne(stored, update)
