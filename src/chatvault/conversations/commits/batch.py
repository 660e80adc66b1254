"""One group of changes: decide each change, write what was accepted."""

from collections.abc import Sequence
from typing import Any, TypeVar

from beanie import Document
from bson import ObjectId
from pymongo import InsertOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, OperationFailure

from chatvault.audit.models import AuditEntry, Entry
from chatvault.conversations.commits.change import Change, Key
from chatvault.conversations.commits.reader import Gathering
from chatvault.conversations.commits.working_copy import Draft, Stalled, Write
from chatvault.conversations.models import Conversation
from chatvault.conversations.segments import Retired, Revision, Segment
from chatvault.errors import Busy, ChatvaultError
from chatvault.idempotency import IdempotencyRecord, Repeatable

T = TypeVar("T")
DUPLICATE_KEY = 11000


class Conflicted(Busy):
    """Another process changed the same conversation."""


class HalfDecided(RuntimeError):
    """A decision refused after it had changed its draft; so nothing of its group may be stored."""


class Group:
    """Some changes that one transaction carries; made anew for each try.

    Args:
        changes: in the order of arrival.
        session: of the transaction.
    """

    def __init__(self, changes: Sequence[Change[Any]], session: AsyncClientSession) -> None:
        self._changes = changes
        self._session = session
        # What is answered again, and the entry that tells so; or why it cannot be.
        self._recalled: dict[Change[Any], tuple[Any, Entry] | ChatvaultError] = {}
        self._new_records: dict[tuple[ObjectId, str, str], Write] = {}
        self.drafts: dict[Key, Draft] = {}

    async def carry(self) -> list[Any]:
        """Each change's answer, or the error it is refused with, once all is written.

        Raises:
            Conflicted: another process was in the way; nothing of this may be committed.
        """
        self.drafts = await Gathering(self._session).gather(self._changes)
        await self._recall()
        answers = [self._decide(change) for change in self._changes]
        await self._write()
        return answers

    def _decide(self, change: Change[Any]) -> Any:
        draft = self.drafts[change.key]
        draft.begin_change()
        recalled = self._recalled.get(change)
        if isinstance(recalled, ChatvaultError):
            return recalled
        if recalled is not None:
            answer, entry = recalled
            draft.entries.append(entry)
            return answer
        try:
            if change.repeatable is None:
                return change.decide(draft)
            return self._decide_once(change, change.repeatable, draft)
        except ChatvaultError as error:
            if draft.was_changed:
                # A fault of ours: the refusal would be told, and the change be stored.
                raise HalfDecided(f"{change.action} refused with {error.code}") from error
            return error

    def _decide_once(self, change: Change[T], repeatable: Repeatable[T], draft: Draft) -> T:
        key = (change.actor.owner_id, repeatable.repeat.route, repeatable.repeat.key)
        if key in self._new_records:
            # The next group finds the record, and reads what it tells of.
            raise Stalled
        answer = change.decide(draft)
        self._new_records[key] = InsertOne(repeatable.record_of(change.actor, answer))
        return answer

    async def _recall(self) -> None:
        """Find the answers that were given before to requests with the same key."""
        keyed = [(each, each.repeatable) for each in self._changes if each.repeatable is not None]
        wanted = [
            IdempotencyRecord.owned_by(
                change.actor, route=repeatable.repeat.route, key=repeatable.repeat.key
            )
            for change, repeatable in keyed
        ]
        if not wanted:
            return
        found = IdempotencyRecord.get_pymongo_collection().find(
            {"$or": wanted}, session=self._session
        )
        records = {
            (each["user_id"], each["route"], each["key"]): each for each in await found.to_list()
        }
        for change, repeatable in keyed:
            route, key, _ = repeatable.repeat
            record = records.get((change.actor.owner_id, route, key))
            if record is None:
                continue
            try:
                answer = await repeatable.answer_again(record, self._session)
            except ChatvaultError as error:
                self._recalled[change] = error
            else:
                entry = repeatable.entry(change.actor, change.action, record)
                self._recalled[change] = answer, entry

    async def _write(self) -> None:
        drafts = self.drafts.values()
        heads = [write for draft in drafts if (write := draft.write()) is not None]
        await self._apply(Conversation, heads)
        await self._apply(Segment, [write for draft in drafts for write in draft.segments])
        await self._apply(Retired, [write for draft in drafts for write in draft.retired])
        await self._apply(IdempotencyRecord, list(self._new_records.values()))
        await self._apply(
            Revision, [write for draft in drafts for write in draft.revisions], each=False
        )
        beside: dict[type[Document], list[Write]] = {}
        for draft in drafts:
            for document, write in draft.beside:
                beside.setdefault(document, []).append(write)
        for document, writes in beside.items():
            await self._apply(document, writes)
        entries: list[Entry] = [entry for draft in drafts for entry in draft.entries]
        if entries:
            await AuditEntry.store(entries, self._session)

    async def _apply(
        self, document: type[Document], writes: list[Write], *, each: bool = True
    ) -> None:
        """Write all of it, where `each` is set every statement hitting its document, or give way.

        Raises:
            Conflicted: another process was in the way.
            OperationFailure: MongoDB refused.
        """
        if not writes:
            return
        try:
            result = await document.get_pymongo_collection().bulk_write(
                writes, session=self._session
            )
        except BulkWriteError as error:
            failed = (error.details or {}).get("writeErrors") or [{}]
            code = failed[0].get("code")
            if code == DUPLICATE_KEY:
                raise Conflicted from None
            # The driver's own error repeats the messages, and would bring them into the logs.
            labels = {"errorLabels": (error.details or {}).get("errorLabels", [])}
            raise OperationFailure("A bulk write was refused", code, labels) from None
        inserted = result.inserted_count + result.upserted_count
        written = inserted + result.matched_count + result.deleted_count
        if each and written != len(writes):
            raise Conflicted
