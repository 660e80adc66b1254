"""The state of a conversation while the changes of a batch are decided."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from beanie import Document
from bson import ObjectId
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateMany, UpdateOne

from chatvault.access import Access
from chatvault.audit.outbox import Outbox
from chatvault.conversations.codec import ContentCodec
from chatvault.conversations.commits.active_path import ActivePath
from chatvault.conversations.commits.errors import RetryAfterMove
from chatvault.conversations.fresh import MOST_MESSAGES, OVERHEAD, Appended
from chatvault.conversations.models import TRASHED
from chatvault.conversations.segments import (
    TAIL_BYTES,
    TAIL_LENGTH,
    Revision,
    is_deleted,
)
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc, StoredMessage
from chatvault.conversations.tag_counts import counted_tags
from chatvault.conversations.tree import Tree
from chatvault.errors import NotFound
from chatvault.fields import Raw, now

MAX_SKEW = timedelta(days=1)
# A change whose time is older than this is one of an import.
OLD = timedelta(seconds=30)

Write = InsertOne[Any] | UpdateOne | UpdateMany | DeleteOne | DeleteMany


class ConversationState:
    """One conversation in a batch: the data that was read, and the state decided so far.

    Args:
        access: to the owner's data; part of every filter.
        codec: encodes the messages that are written.
        fields: the stored fields that were read, or None if there is no such conversation.
        known: the stored messages that the changes name, by id.
        last_segment: the newest segment without its messages, if it was requested.
        older_id: the newest message not deleted, if it is outside the tail and was requested.
        tree: the tree of all messages, if it was requested.

    Attributes:
        added: how many messages all changes so far have added.
    """

    def __init__(
        self,
        access: Access,
        codec: ContentCodec,
        fields: ConversationDoc | None,
        known: dict[str, StoredMessage] | None = None,
        last_segment: SegmentDoc | None = None,
        older_id: str | None = None,
        tree: Tree | None = None,
    ) -> None:
        self.access = access
        self.outbox = Outbox()
        self._codec = codec
        # Older runs of the branch that is shown; a deletion may match none.
        self.paths: list[Write] = []
        self.segments: list[Write] = []
        self.revisions: list[Write] = []
        self.pending_deletions: list[Write] = []
        self.notes: list[Write] = []
        # Writes of other domains in the same transaction; each must match a document.
        self.beside: list[tuple[type[Document], Write]] = []
        # Deletions of other domains in the same transaction; they may match any number.
        self.removals: list[tuple[type[Document], Write]] = []
        self._stored = fields
        self._head = None if fields is None else fields.copy()
        tail: list[MessageDoc] | None = self._head.pop("messages", None) if self._head else None
        self._tail = tail
        stored: list[MessageDoc] = self._head.pop("stored", []) if self._head else []
        # The sealed form of embedded messages, to be written back unchanged. With the message, so
        # that no other object takes its place in memory.
        self._as_stored: dict[int, tuple[MessageDoc, MessageDoc]] = {
            id(message): (message, each)
            for message, each in zip(tail or (), stored, strict=False)
            if "c" in each
        }
        self._read_version: int | None = fields["version"] if fields else None
        self._read_tail_seq: int | None = fields["tail_seq"] if fields else None
        self._path = None if self._head is None else self._follow_path(self._head, tree)
        self._known = known or {}
        self._last_segment = last_segment
        self._older_id = older_id
        self._fields: Raw = {}
        self._pushed: list[MessageDoc] = []
        self._appended: list[str] = []
        self._is_new = self._rewritten = self._deleted = False
        # Whether a change of this batch gives, alters or ends a grant.
        self.changes_grants = False
        self._is_blind = self._is_touched = self._sees_trash = self._keeps = False
        self._sets = self.added = self._marks_before = 0
        self._cut: set[ObjectId] = set()

    @property
    def exists(self) -> bool:
        """Whether the change can see the conversation in the state decided so far."""
        return self._head is not None and not self._deleted and not self._is_hidden

    @property
    def grown(self) -> int:
        """The bytes by which its messages have grown; negative if they have shrunk."""
        before = 0 if self._stored is None else self._stored["message_bytes"]
        after = 0 if self._head is None or self._deleted else self._head["message_bytes"]
        return after - before

    @property
    def tag_change(self) -> tuple[Access, set[str], set[str]] | None:
        """The tags for which it counts before and after; None if they stay, as at an append."""
        if self._deleted or self._is_new or not self._fields.keys().isdisjoint(("tags", "status")):
            after = None if self._deleted else self._head
            return self.access, counted_tags(self._stored), counted_tags(after)
        return None

    @property
    def conversation_id(self) -> ObjectId | None:
        """The conversation's id, whether or not it was deleted; None if there was none."""
        return None if self._head is None else self._head["_id"]

    @property
    def appended(self) -> Appended | None:
        """The messages that the changes have appended; None if they cannot be shown now."""
        ids, before = self._appended, self._read_version
        if before is None or not 0 < len(ids) <= MOST_MESSAGES or not self.exists:
            return None
        # Without those that were replaced with all others.
        found = [known for each in ids if (known := self._known.get(each))]
        messages, size = {each.seq: each for each in found}, OVERHEAD + max(0, self.grown)
        return Appended(before, self.fields["version"], messages, size)

    def _note_appended(self, stored: StoredMessage) -> None:
        self._known[stored.message["id"]] = stored
        self._appended.append(stored.message["id"])

    @property
    def in_trash(self) -> bool:
        """Whether the conversation is in the trash, whether or not the change can see it."""
        return self._head is not None and self._head.get("status") == TRASHED

    @property
    def _is_hidden(self) -> bool:
        return self.in_trash and not self._sees_trash

    @property
    def fields(self) -> ConversationDoc:
        """The fields as decided so far.

        Raises:
            NotFound: there is no such conversation any more, or it is in the trash, and the
                change does not say that it sees the trash.
        """
        if self._head is None or self._deleted or self._is_hidden:
            raise NotFound("Conversation not found")
        return self._head

    def _follow_path(self, fields: ConversationDoc, tree: Tree | None = None) -> ActivePath:
        before = self._read_version
        version = fields["version"] if before is None else before + 1
        return ActivePath(self.access, fields, self._tail, tree, version=version, writes=self.paths)

    @property
    def path(self) -> ActivePath:
        """The branch that is shown.

        Raises:
            NotFound: there is no such conversation any more.
        """
        if self._path is None or not self.exists:
            raise NotFound("Conversation not found")
        return self._path

    @property
    def leaf_id(self) -> str | None:
        """The id of the last message of the branch shown; the tail must be known."""
        if (aside := self.path.aside) is not None:
            return aside[1]
        return self._tail[-1]["id"] if self._tail else None

    def check_exists(self) -> None:
        """Raise NotFound if there is no such conversation any more."""
        if not self.exists:
            raise NotFound("Conversation not found")

    @property
    def document(self) -> ConversationDoc:
        """The conversation as decided so far, with its embedded messages, which must be known."""
        return {**self.fields, "messages": self._tail or []}

    @property
    def overflows(self) -> bool:
        """Whether older messages should move to segments."""
        if not self.exists:
            return False
        length = self.fields["next_seq"] - self.fields["tail_seq"]
        return length > TAIL_LENGTH or (length > 1 and self.fields["tail_bytes"] > TAIL_BYTES)

    def begin_change(self, *, sees_trash: bool = False, keeps: bool = False) -> None:
        """Begin the next change; the version rises once for each change that does anything."""
        self._sees_trash = sees_trash
        self._keeps = keeps
        self._is_touched = False
        self.outbox.begin()
        self._marks_before = self._marks()

    def end_change(self) -> None:
        """Complete the audit entries; raise IncompleteDetails if they omit a change."""
        if self._head is not None:
            version = self._head["version"] + self._deleted
            self.outbox.end(version, changed=self._is_touched, deleted=self._deleted)

    @property
    def was_changed(self) -> bool:
        """Whether the current change has decided anything."""
        return self._marks() != self._marks_before

    def _marks(self) -> int:
        # Only ever appended to.
        written = len(self.segments) + len(self.revisions) + len(self.pending_deletions)
        written += len(self.beside) + len(self.removals) + len(self.outbox.entries)
        return self._sets + written + self._deleted

    def find(self, message_id: str) -> StoredMessage | None:
        """Return the stored message with this id, which the change must have named, or None.

        Raises:
            RetryAfterMove: this batch added messages that were not read.
        """
        stored = self._known.get(message_id)
        if stored is None and self._is_blind:
            raise RetryAfterMove
        return stored

    def locate(self, message_id: str) -> StoredMessage:
        """Return the message with this id, ready to be edited.

        Raises:
            NotFound: there is none, or it is deleted.
            RetryAfterMove: this batch moves it.
        """
        stored = self.find(message_id)
        if stored is None or is_deleted(stored.message):
            raise NotFound("Message not found")
        if stored.segment is None and stored.seq < self.fields["tail_seq"]:
            raise RetryAfterMove
        if stored.segment is not None and stored.segment["_id"] in self._cut:
            raise RetryAfterMove
        return stored

    def last_not_deleted(self) -> StoredMessage | None:
        """Return the newest message not deleted, ready to be edited; None if there is none.

        In a conversation with branches it is the last of the branch shown, or None.

        Raises:
            RetryAfterMove: it is in a segment that this batch did not read.
        """
        if self.path.is_branched:
            return self._leaf()
        tail = self._tail or []
        for index in reversed(range(len(tail))):
            if not is_deleted(tail[index]):
                return StoredMessage(self.fields["tail_seq"] + index, tail[index])
        if not self.fields["total_messages"]:
            return None
        if self._older_id is None or self.fields["tail_seq"] != self._read_tail_seq:
            raise RetryAfterMove
        try:
            return self.locate(self._older_id)
        except NotFound:
            raise RetryAfterMove from None

    def _leaf(self) -> StoredMessage | None:
        aside, tail = self.path.aside, self._tail or []
        if aside is None and tail and not is_deleted(tail[-1]):
            return StoredMessage(self.fields["next_seq"] - 1, tail[-1])
        if aside is None:
            return None
        try:
            return self.locate(aside[1])
        except NotFound:
            return None

    def _set(self, **fields: Any) -> None:
        cast("Raw", self.fields).update(fields)
        self._sets += 1
        self._fields.update(fields)

    def _touch(self, at: datetime) -> None:
        fields = self.fields
        before: datetime = fields["updated_at"]
        moment = now()
        # Another process's clock may be slightly ahead; an imported time comes from no clock.
        if before > at and before <= moment + MAX_SKEW:
            at = before
        self._set(updated_at=at)
        last = fields.get("last_message_at")
        if last is not None and (last if last.tzinfo else last.replace(tzinfo=UTC)) > at:
            # Lists by the last message look among what changed no earlier than its time.
            self._set(last_message_at=at)
        if at < moment - OLD:
            self._set(arrived_at=moment)
        if not self._is_new and not self._is_touched:
            self._set(version=fields["version"] + 1)
        self._is_touched = True

    def _revision_of(self, stored: StoredMessage, at: datetime, **more: Any) -> Raw:
        """Return the revision that keeps a message as it is now."""
        old = stored.message
        return Revision.owned_by(
            self.access,
            conversation_id=self.fields["_id"],
            message_id=old["id"],
            version=old.get("version", 1),
            seq=stored.seq,
            message=old,
            replaced_at=at,
            **more,
        )

    def _keep(self, messages: Sequence[StoredMessage], at: datetime) -> None:
        """Decide to keep messages that are removed, because of a legal hold."""
        living = [each for each in messages if not is_deleted(each.message)]
        self.revisions += [
            InsertOne(self._codec.encode_revision(self._revision_of(each, at, kept=True)))
            for each in living
        ]
