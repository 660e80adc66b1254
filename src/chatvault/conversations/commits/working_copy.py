"""A conversation on which the changes of a batch are decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from bson import ObjectId
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateMany, UpdateOne

from chatvault.conversations.codec import MessageUnreadable
from chatvault.conversations.commits import segment_writes
from chatvault.conversations.commits.active_path import PathChange
from chatvault.conversations.commits.errors import NoRoom
from chatvault.conversations.commits.state import ConversationState, Write
from chatvault.conversations.grants import Grant
from chatvault.conversations.links import removal_of
from chatvault.conversations.models import BY_ID, TRASHED, Conversation, Status
from chatvault.conversations.notes import Note
from chatvault.conversations.segments import (
    Generation,
    PendingDeletion,
    Revision,
    is_deleted,
    size_of,
    split_tail,
)
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc, StoredMessage
from chatvault.conversations.tree import Link, Tree
from chatvault.fields import Raw

# Above this size an append waits for a move, so that the document stays far below 16 MB.
TAIL_HARD_BYTES = 8 * 1024 * 1024
# A summary may repeat message text: it is removed with any message that it summarizes.
NO_SUMMARY: Raw = {"summary": None, "summary_seq": 0}


class WorkingCopy(ConversationState):
    """One conversation on which changes are decided.

    Decisions are made on the fields (the document without its messages, or with them where a
    change needs them). Writes filter by owner and version, so no other change is overwritten.
    """

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
        self._path = self._follow_path(document, Tree(0))

    def set(self, at: datetime, **fields: Any) -> None:
        """Decide new values of fields."""
        self._set(**fields)
        self._touch(at)

    def change_grants(self, write: Write) -> None:
        """Decide to give, alter or end a grant; the version and the times stay.

        The conversation is written, too, so that the changes of a guest that are under way conflict
        and read the grant again.
        """
        self.beside.append((Grant, write))
        self.touch_grants()

    def end_grants(self, writes: Sequence[Write]) -> None:
        """Decide to end grants that may have ended already; the version and the times stay."""
        self.removals += [(Grant, each) for each in writes]
        if writes:
            self.touch_grants()

    def touch_grants(self) -> None:
        """Write the conversation, so that guests' changes under way conflict."""
        self.changes_grants = True
        self._set(access_version=(self.fields.get("access_version") or 0) + 1)

    def change_notes(self, write: Write) -> None:
        """Decide to write, change or remove a note; the version and the times stay.

        The conversation is written, too, so that its deletion and the end of a grant conflict.
        """
        self.beside.append((Note, write))
        self._set(notes_version=(self.fields.get("notes_version") or 0) + 1)

    def append(
        self,
        messages: list[MessageDoc],
        at: datetime,
        last_message_at: datetime | None,
        links: Sequence[Link] | None = None,
    ) -> None:
        """Decide to append messages; the last of them becomes the end of the branch shown.

        Args:
            messages: in order.
            at: the time of the change.
            last_message_at: the time of the last message.
            links: of the messages that do not follow the one stored before them; by default the
                first follows the last one of the branch shown.

        Raises:
            NoRoom: older messages have to move first.
            NeedsTree: the tree of all messages must be read first.
        """
        fields = self.fields
        if not messages:
            return
        if links is None:
            links = self._follow_leaf(messages[0])
        size = sum(map(size_of, messages))
        self.require_room(size)
        branch = self.path.append(links, len(messages))
        for seq, message in enumerate(messages, fields["next_seq"]):
            self._note_appended(StoredMessage(seq, message))
        self.outbox.note(fields["next_seq"], len(messages))
        self.added += len(messages)
        if self._tail is None:
            self._pushed += messages
        else:
            self._tail += messages
            self._rewritten = True
        self._set(
            **self._shown(branch),
            message_bytes=fields["message_bytes"] + size,
            tail_bytes=fields["tail_bytes"] + size,
            next_seq=fields["next_seq"] + len(messages),
            last_message_at=last_message_at,
        )
        self._touch(at)

    def _follow_leaf(self, message: MessageDoc) -> list[Link]:
        """Let a new message follow the last one of the branch shown; return its link, if needed."""
        aside = self.path.aside
        if aside is None:
            return []
        message["parent_id"] = aside[1]
        return [Link(self.fields["next_seq"] - self.fields["first_seq"], aside[0])]

    def show_branch(self, leaf: int, leaf_id: str, at: datetime) -> None:
        """Decide that the branch is shown that ends at a message.

        Args:
            leaf: the message's place.
            leaf_id: its id.
            at: the time of the change.

        Raises:
            NeedsTree: the tree of all messages must be read first.
        """
        self._set(**self._shown(self.path.show(leaf, leaf_id)))
        self._touch(at)

    def _shown(self, branch: PathChange) -> Raw:
        """Return the changed fields; remove a summary that reaches beyond the fork."""
        fields = self.fields
        if fields.get("summary_seq", 0) > fields["first_seq"] + branch.fork + 1:
            return {**branch.fields, **NO_SUMMARY}
        return branch.fields

    def replace_messages(self, generation: Generation | None, at: datetime) -> None:
        """Decide to remove all messages, and to put those of the generation in their place.

        The numbering continues from `next_seq`.
        """
        fields = self.fields
        if self._keeps:
            tail = enumerate(self._known_tail(), fields["tail_seq"])
            self._keep([StoredMessage(seq, each) for seq, each in tail], at)
        self._defer_deletion(whole=False)
        self._set(**NO_SUMMARY)
        length = generation.length if generation else 0
        self._tail, self._pushed = [], []
        self._rewritten = True
        self._known = {}
        self._is_blind = generation is not None
        self._last_segment = None
        start = fields["next_seq"]
        self.outbox.note(start, length, replaces=not self._is_new)
        self.added += length
        self._set(
            generation=generation.id if generation else ObjectId(),
            first_seq=start,
            tail_seq=start,
            next_seq=start,
            total_messages=0,
            message_bytes=generation.bytes if generation else 0,
            tail_bytes=0,
            last_message_at=generation.last_message_at if generation else None,
        )
        if fields.get("path"):
            self._set(path=None, stored_messages=None)
        self._path = self._follow_path(fields, Tree(0))
        if generation:
            self._set(**self._path.append(generation.links, length).fields)
            self._set(**self._path.move(length)[1])
            self._set(tail_seq=start + length, next_seq=start + length)
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
            MessageUnreadable: the stored message does not open.
        """
        old = stored.message
        revision = self._revision_of(stored, at)
        its_own: MessageDoc = {"id": old["id"]}
        if "parent_id" in old:
            its_own["parent_id"] = old["parent_id"]
        changed = self.update_in_place(stored, {**message, **its_own}, at)
        self.revisions.append(InsertOne(self._codec.encode_revision(revision)))
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
            MessageUnreadable: the stored message does not open.
        """
        old = stored.message
        if old.get("unreadable"):
            raise MessageUnreadable
        message = {**message, "version": old.get("version", 1) + 1}
        length = self.fields["next_seq"] - self.fields["tail_seq"]
        grown = size_of(message) - size_of(old)
        if stored.segment is None and length > 1 and grown > 0:
            self.require_room(grown)
        return self._put(stored, message, at)

    def restore_message(self, stored: StoredMessage, earlier: MessageDoc, at: datetime) -> None:
        """Decide to put an earlier version in the place of a message; no revision is kept.

        Raises:
            NoRoom: older messages have to move first.
            MessageUnreadable: the stored message does not open.
        """
        old = stored.message
        if self._keeps:
            self._keep([stored], at)
        its_own: MessageDoc = {"id": old["id"]}
        if "parent_id" in old:
            its_own["parent_id"] = old["parent_id"]
        self.update_in_place(stored, {**earlier, **its_own}, at)
        self._set(edits=self.fields.get("edits", 0) + 1)

    def remove_message(self, stored: StoredMessage, at: datetime) -> None:
        """Decide to remove a message with its revisions and notes.

        Its id and its place are not reused.
        """
        its = {"conversation_id": self.fields["_id"], "message_id": stored.message["id"]}
        self.path.require_tree_to_delete(stored.seq - self.fields["first_seq"])
        its_revisions = Revision.owned_by(self.access, **its)
        if self._keeps:
            self.revisions.append(UpdateMany(its_revisions, {"$set": {"kept": True}}))
            self._keep([stored], at)
        else:
            self.revisions.append(DeleteMany(its_revisions))
            self.notes.append(DeleteMany(Note.owned_by(self.access, **its)))
        gone: MessageDoc = {"id": stored.message["id"], "deleted": True}
        if "parent_id" in stored.message:
            gone["parent_id"] = stored.message["parent_id"]
        self._put(stored, gone, at)
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
        links, changed = self.path.move(len(moved))
        grown, rest = segment_writes.extend(self._last_segment, moved, self._codec, links)
        self._last_segment = None
        self.segments += grown
        self.segments += segment_writes.add(
            rest,
            owner_id=self.access.owner_id,
            generation=fields["generation"],
            codec=self._codec,
            start=start + len(moved) - len(rest),
            links=links,
        )
        self._tail = kept
        self._rewritten = True
        self._set(
            **changed,
            tail_seq=fields["tail_seq"] + len(moved),
            tail_bytes=sum(map(size_of, self._tail)),
        )

    def trash(self, at: datetime) -> None:
        """Decide to put the conversation into the trash."""
        fields = self.fields
        source = fields.get("source")
        changes: Raw = {"status": TRASHED, "status_before": fields.get("status"), "deleted_at": at}
        if source is not None:
            changes |= {"source": None, "trashed_source": source}
        changes |= self._end_links()
        self._touch(at)
        # Last, as it hides the conversation from the change itself.
        self._set(**changes)

    def restore(self, at: datetime, source: str | None, category_id: ObjectId | None) -> None:
        """Decide to take the conversation out of the trash.

        Args:
            at: the time of the change.
            source: the source of its import, unless another conversation has it by now.
            category_id: its category, unless that was deleted.
        """
        fields = self.fields
        changes: Raw = {"status": fields.get("status_before") or Status.ACTIVE.value}
        changes |= {"deleted_at": None, "status_before": None}
        if fields.get("trashed_source") is not None:
            changes |= {"source": source, "trashed_source": None}
        if fields.get("category_id") != category_id:
            changes["category_id"] = category_id
        self.set(at, **changes)

    def delete(self) -> None:
        """Decide to delete the conversation; garbage collection deletes the documents beside it."""
        self._end_links()
        self._defer_deletion(whole=True)
        self._deleted = self._is_touched = True

    def note_link(self, at: datetime) -> None:
        """Decide that a public link to the conversation is stored.

        The time changes with each link, so that a concurrent deletion conflicts with it.
        """
        before = self.fields.get("linked_at")
        self._set(linked_at=at if before is None else max(at, before + timedelta(milliseconds=1)))

    def _end_links(self) -> Raw:
        """Decide to remove the public links to the conversation; return the changed fields."""
        if self.fields.get("linked_at") is None:
            return {}
        self.removals += removal_of(self.access, self.fields["_id"])
        return {"linked_at": None}

    def _put(self, stored: StoredMessage, message: MessageDoc, at: datetime) -> StoredMessage:
        fields = self.fields
        grown = size_of(message) - size_of(stored.message)
        deleted = is_deleted(message) and not is_deleted(stored.message)
        changes: Raw = {"message_bytes": fields["message_bytes"] + grown}
        if deleted:
            changes |= self.path.delete(stored.seq - fields["first_seq"]).fields
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
                self.fields, self.access, whole=whole, keeps=self._keeps
            )

    def _encode_tail(self) -> list[MessageDoc]:
        """Return the embedded messages as they are stored; those that did not change as before."""
        tail = self._tail or []
        if not self._as_stored:
            return self._codec.encode_tail(self.fields, tail)
        known = [self._as_stored.get(id(message)) for message in tail]
        changed = [message for message, each in zip(tail, known, strict=True) if each is None]
        encoded = iter(self._codec.encode_tail(self.fields, changed))
        return [next(encoded) if each is None else each[1] for each in known]

    def write(self) -> Write | None:
        """Return the one statement that stores the decisions; None if there is nothing to store."""
        if self._head is None or (self._is_new and self._deleted):
            return None
        if self._is_new:
            fields = self._codec.encode_fields(self._head, cast("Raw", self._head))
            return InsertOne({**fields, "messages": self._encode_tail()})
        # Any change of the status raises the version.
        read = Conversation.owned_with_trash_by(
            self.access,
            _id=self._head["_id"],
            version=self._read_version,
            tail_seq=self._read_tail_seq,
        )
        if self._deleted:
            return DeleteOne(read, hint=BY_ID)
        if not self._fields:
            return None
        update: Raw = {"$set": self._codec.encode_fields(self._head, dict(self._fields))}
        if self._rewritten:
            update["$set"]["messages"] = self._encode_tail()
        elif self._pushed:
            update["$push"] = {
                "messages": {"$each": self._codec.encode_tail(self._head, self._pushed)}
            }
        return UpdateOne(read, update, hint=BY_ID)
