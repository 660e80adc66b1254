"""A conversation during a batch of changes: what was read, and what has been decided."""

from datetime import datetime, timedelta
from typing import Any, cast

from beanie import Document
from bson import ObjectId
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateOne

from chatvault.access import Access
from chatvault.audit.outbox import Outbox
from chatvault.conversations.codec import MessageCodec
from chatvault.conversations.commits import segment_writes
from chatvault.conversations.commits.errors import NoRoom, RetryAfterMove
from chatvault.conversations.models import BY_ID, Conversation
from chatvault.conversations.segments import (
    TAIL_BYTES,
    TAIL_LENGTH,
    Generation,
    PendingDeletion,
    Revision,
    is_deleted,
    size_of,
    split_tail,
)
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc, StoredMessage
from chatvault.errors import NotFound
from chatvault.fields import Raw, now

# Above this size an append waits for a move, so that the document stays far below 16 MB.
TAIL_HARD_BYTES = 8 * 1024 * 1024
MAX_SKEW = timedelta(days=1)
# A summary may repeat message text: it is removed with any message that it summarizes.
NO_SUMMARY: Raw = {"summary": None, "summary_seq": 0}

Write = InsertOne[Any] | UpdateOne | DeleteOne | DeleteMany


class WorkingCopy:
    """One conversation while a batch decides.

    Decisions are made on the fields (the document without its messages, or with them where a
    change needs them). Writes filter by owner and version, so no other change is overwritten.

    Args:
        access: to the owner's data; part of every filter.
        codec: encodes the messages that are written.
        fields: the stored fields that were read, or None if there is no such conversation.
        known: the stored messages that the changes name, by id.
        last_segment: the newest segment without its messages, if it was requested.
        older_id: of the newest message not deleted, if it is outside the tail and was requested.
    """

    def __init__(
        self,
        access: Access,
        codec: MessageCodec,
        fields: ConversationDoc | None,
        known: dict[str, StoredMessage] | None = None,
        last_segment: SegmentDoc | None = None,
        older_id: str | None = None,
    ) -> None:
        self.access = access
        self.outbox = Outbox()
        self._codec = codec
        self.segments: list[Write] = []
        self.revisions: list[Write] = []
        self.pending_deletions: list[Write] = []
        # Documents of other domains that change together with the conversation; each write must
        # match one.
        self.beside: list[tuple[type[Document], Write]] = []
        self._head = None if fields is None else fields.copy()
        tail: list[MessageDoc] | None = self._head.pop("messages", None) if self._head else None
        self._tail = tail
        self._read_version: int | None = fields["version"] if fields else None
        self._read_tail_seq: int | None = fields["tail_seq"] if fields else None
        self._known = known or {}
        self._last_segment = last_segment
        self._older_id = older_id
        self._fields: Raw = {}
        self._pushed: list[MessageDoc] = []
        self._is_new = False
        self._rewritten = False
        self._deleted = False
        self._is_blind = self._is_touched = False
        self._sets = 0
        self._marks_before = 0
        self._cut: set[ObjectId] = set()

    @property
    def exists(self) -> bool:
        """Whether there is such a conversation now."""
        return self._head is not None and not self._deleted

    @property
    def fields(self) -> ConversationDoc:
        """The fields as decided so far.

        Raises:
            NotFound: there is no such conversation any more.
        """
        if self._head is None or self._deleted:
            raise NotFound("Conversation not found")
        return self._head

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

    def begin_change(self) -> None:
        """Begin the next change; the version rises once for each change that does anything."""
        self._is_touched = False
        self.outbox.begin()
        self._marks_before = self._marks()

    def end_change(self) -> None:
        """Complete the audit entries; raise IncompleteDetails if they leave out what changed."""
        if self._head is not None:
            version = self._head["version"] + self._deleted
            self.outbox.end(version, changed=self._is_touched, deleted=self._deleted)

    @property
    def was_changed(self) -> bool:
        """Whether the current change has decided anything."""
        return self._marks() != self._marks_before

    def _marks(self) -> int:
        # Nothing is ever removed from these.
        written = len(self.segments) + len(self.revisions) + len(self.pending_deletions)
        written += len(self.beside) + len(self.outbox.entries)
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

        Raises:
            RetryAfterMove: it is in a segment that this batch did not read.
        """
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

    def require_room(self, size: int) -> None:
        """Check that messages of this many bytes can be embedded.

        Raises:
            NoRoom: older messages have to move first.
        """
        tail_bytes = self.fields["tail_bytes"]
        if tail_bytes and tail_bytes + size > TAIL_HARD_BYTES:
            raise NoRoom

    def insert(self, document: ConversationDoc) -> None:
        """Decide to insert the conversation, without messages yet."""
        self._is_new = self._is_touched = True
        self._sets += 1
        self._head = document
        self._tail = []

    def set(self, at: datetime, **fields: Any) -> None:
        """Decide new values of fields."""
        self._set(**fields)
        self._touch(at)

    def append(
        self, messages: list[MessageDoc], at: datetime, last_message_at: datetime | None
    ) -> None:
        """Decide to append messages.

        Raises:
            NoRoom: older messages have to move first.
        """
        fields = self.fields
        if not messages:
            return
        size = sum(map(size_of, messages))
        self.require_room(size)
        for seq, message in enumerate(messages, fields["next_seq"]):
            self._known[message["id"]] = StoredMessage(seq, message)
        self.outbox.note(fields["next_seq"], len(messages))
        if self._tail is None:
            self._pushed += messages
        else:
            self._tail += messages
            self._rewritten = True
        self._set(
            total_messages=fields["total_messages"] + len(messages),
            message_bytes=fields["message_bytes"] + size,
            tail_bytes=fields["tail_bytes"] + size,
            next_seq=fields["next_seq"] + len(messages),
            last_message_at=last_message_at,
        )
        self._touch(at)

    def replace_messages(self, generation: Generation | None, at: datetime) -> None:
        """Decide to remove all messages, and to put those of the generation in their place.

        The numbering continues from `next_seq`.
        """
        fields = self.fields
        self._defer_deletion(whole=False)
        self._set(**NO_SUMMARY)
        length = generation.length if generation else 0
        self._tail = []
        self._pushed = []
        self._rewritten = True
        self._known = {}
        self._is_blind = generation is not None
        self._last_segment = None
        start = fields["next_seq"]
        self.outbox.note(start, length, replaces=not self._is_new)
        self._set(
            generation=generation.id if generation else ObjectId(),
            first_seq=start,
            tail_seq=start + length,
            next_seq=start + length,
            total_messages=length,
            message_bytes=generation.bytes if generation else 0,
            tail_bytes=0,
            last_message_at=generation.last_message_at if generation else None,
        )
        if generation:
            claimed = PendingDeletion.owned_by(self.access, _id=generation.intent_id, swept=False)
            self.pending_deletions.append(DeleteOne(claimed))
        self._touch(at)

    def replace_message(
        self, stored: StoredMessage, message: MessageDoc, at: datetime
    ) -> StoredMessage:
        """Decide to replace a message; the old one becomes a revision.

        Returns:
            The new message, which must not be used for another edit.

        Raises:
            NoRoom: older messages have to move first.
        """
        old = stored.message
        revision = Revision.owned_by(
            self.access,
            conversation_id=self.fields["_id"],
            message_id=old["id"],
            version=old.get("version", 1),
            seq=stored.seq,
            message=self._encode([old])[0],
            replaced_at=at,
        )
        changed = self.update_in_place(stored, {**message, "id": old["id"]}, at)
        self.revisions.append(InsertOne(revision))
        self._set(has_revisions=True, edits=self.fields.get("edits", 0) + 1)
        return changed

    def update_in_place(
        self, stored: StoredMessage, message: MessageDoc, at: datetime
    ) -> StoredMessage:
        """Decide to change a message's fields other than its content; no revision is kept.

        Returns:
            The new message, which must not be used for another edit.

        Raises:
            NoRoom: older messages have to move first.
        """
        old = stored.message
        message = {**message, "version": old.get("version", 1) + 1}
        length = self.fields["next_seq"] - self.fields["tail_seq"]
        grown = size_of(message) - size_of(old)
        if stored.segment is None and length > 1 and grown > 0:
            self.require_room(grown)
        return self._put(stored, message, at)

    def remove_message(self, stored: StoredMessage, at: datetime) -> None:
        """Decide to remove a message with its revisions; its id and its place are not reused."""
        its = {"conversation_id": self.fields["_id"], "message_id": stored.message["id"]}
        self.revisions.append(DeleteMany(Revision.owned_by(self.access, **its)))
        self._put(stored, {"id": stored.message["id"], "deleted": True}, at)
        self._set(edits=self.fields.get("edits", 0) + 1)

    def move_overflow(self, *, whole: bool = False) -> None:
        """Decide to move embedded messages to segments; nothing else changes.

        Args:
            whole: whether to move all of them, so that there is room for any other; else the older
                ones, if they are too many.
        """
        fields, tail = self.fields, self._tail
        if not tail or not (whole or self.overflows):
            return
        moved, kept = (tail, []) if whole else split_tail(tail)
        start = fields["tail_seq"] - fields["first_seq"]
        grown, rest = segment_writes.extend(self._last_segment, moved, self._codec)
        self._last_segment = None
        self.segments += grown
        self.segments += segment_writes.add(
            rest,
            owner_id=self.access.owner_id,
            generation=fields["generation"],
            codec=self._codec,
            start=start + len(moved) - len(rest),
        )
        self._tail = kept
        self._rewritten = True
        self._set(
            tail_seq=fields["tail_seq"] + len(moved),
            tail_bytes=sum(map(size_of, self._tail)),
        )

    def delete(self) -> None:
        """Decide to delete the conversation; garbage collection deletes the documents beside it."""
        self._defer_deletion(whole=True)
        self._deleted = self._is_touched = True

    def _put(self, stored: StoredMessage, message: MessageDoc, at: datetime) -> StoredMessage:
        fields = self.fields
        grown = size_of(message) - size_of(stored.message)
        deleted = is_deleted(message) and not is_deleted(stored.message)
        changes: Raw = {
            "total_messages": fields["total_messages"] - deleted,
            "message_bytes": fields["message_bytes"] + grown,
        }
        if stored.seq < fields.get("summary_seq", 0):
            changes |= NO_SUMMARY
        self.outbox.note(stored.seq)
        self._touch(at)
        if stored.segment is None:
            self._known_tail()[stored.seq - fields["tail_seq"]] = message
            self._rewritten = True
            changes["tail_bytes"] = fields["tail_bytes"] + grown
        else:
            self._put_in_segment(stored.segment, stored.seq, message, deleted=deleted)
        self._known[message["id"]] = changed = StoredMessage(stored.seq, message, stored.segment)
        self._set(**changes)
        return changed

    def _known_tail(self) -> list[MessageDoc]:
        if self._tail is None:
            raise LookupError("a change that edits messages must ask for the tail")
        return self._tail

    def _put_in_segment(
        self, segment: SegmentDoc, seq: int, message: MessageDoc, *, deleted: bool
    ) -> None:
        index = seq - self.fields["first_seq"] - segment["start"]
        segment["changed_in"] = self.fields["version"]
        writes, is_cut = segment_writes.put(segment, index, message, self._codec, deleted=deleted)
        self.segments += writes
        if is_cut:
            self._cut.add(segment["_id"])

    def _defer_deletion(self, *, whole: bool) -> None:
        if not self._is_new:
            self.pending_deletions += segment_writes.defer_deletion(
                self.fields, self.access, whole=whole
            )

    def _set(self, **fields: Any) -> None:
        cast("Raw", self.fields).update(fields)
        self._sets += 1
        self._fields.update(fields)

    def _touch(self, at: datetime) -> None:
        fields = self.fields
        before: datetime = fields["updated_at"]
        # Another process's clock may be slightly ahead; an imported time comes from no clock.
        if before > at and before <= now() + MAX_SKEW:
            at = before
        self._set(updated_at=at)
        if not self._is_new and not self._is_touched:
            self._set(version=fields["version"] + 1)
        self._is_touched = True

    def _encode(self, messages: list[MessageDoc]) -> list[MessageDoc]:
        return self._codec.encode(self.access.owner_id, messages)

    def write(self) -> Write | None:
        """Return the one statement that stores the decisions; None if there is nothing to store."""
        if self._head is None or (self._is_new and self._deleted):
            return None
        if self._is_new:
            return InsertOne({**self._head, "messages": self._encode(self._tail or [])})
        read = Conversation.owned_by(
            self.access,
            _id=self._head["_id"],
            version=self._read_version,
            tail_seq=self._read_tail_seq,
        )
        if self._deleted:
            return DeleteOne(read, hint=BY_ID)
        if not self._fields:
            return None
        update: Raw = {"$set": dict(self._fields)}
        if self._rewritten:
            update["$set"]["messages"] = self._encode(self._tail or [])
        elif self._pushed:
            update["$push"] = {"messages": {"$each": self._encode(self._pushed)}}
        return UpdateOne(read, update, hint=BY_ID)
