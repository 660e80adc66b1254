"""One batch of changes: decide each change, then write the accepted ones."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

from beanie import Document
from bson import ObjectId
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, OperationFailure

from chatvault.access import Need, refusal_of
from chatvault.audit.models import AuditEntry, Entry
from chatvault.conversations.commits.change import Change, Key
from chatvault.conversations.commits.errors import (
    Behind,
    Conflicted,
    HalfDecided,
    RetryAfterMove,
)
from chatvault.conversations.commits.reader import BatchReader
from chatvault.conversations.commits.state import Write
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.grants import Grant
from chatvault.conversations.models import Conversation
from chatvault.conversations.notes import Note
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.segments import PendingDeletion, Revision, Segment
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tag_counts import TagCount, tag_writes
from chatvault.errors import ChatvaultError, NotFound
from chatvault.idempotency import IdempotencyRecord, Idempotent

T = TypeVar("T")
DUPLICATE_KEY = 11000


async def _beside(reading: Awaitable[T], fetching: Awaitable[None]) -> T:
    """Return what is read, once both are done; a failure waits for the other one to end."""
    read, fetched = await asyncio.gather(reading, fetching, return_exceptions=True)
    for each in (read, fetched):
        if isinstance(each, BaseException):
            raise each
    return cast("T", read)


def _grouped(
    found: Iterable[Sequence[tuple[type[Document], Write]]],
) -> dict[type[Document], list[Write]]:
    """Return the statements of several copies by collection."""
    grouped: dict[type[Document], list[Write]] = {}
    for document, write in chain.from_iterable(found):
        grouped.setdefault(document, []).append(write)
    return grouped


class CommitBatch:
    """The changes that one transaction carries; a new batch is made for each attempt.

    Args:
        changes: in the order of arrival.
        store: reads and encodes the messages.
        session: the transaction's.
    """

    def __init__(
        self, changes: Sequence[Change[Any]], store: MessageStore, session: AsyncClientSession
    ) -> None:
        self._changes = changes
        self._store = store
        self._session = session
        # The answers to repeats with their audit entries, or the errors.
        self._recalled: dict[Change[Any], tuple[Any, Entry] | ChatvaultError] = {}
        self._new_records: dict[tuple[ObjectId, str, str], Write] = {}
        # The conversations of which a change is postponed, so that no later one overtakes it.
        self._postponed: set[Key] = set()
        # The most that guests may do, by guest, owner and conversation.
        self._needs: dict[tuple[Any, ...], Need] = {}
        self.copies: dict[Key, WorkingCopy] = {}

    async def carry(self) -> list[Any]:
        """Write the batch; return each change's answer or error.

        Raises:
            Conflicted: another process changed the same documents; nothing of this may be
                committed.
        """
        reading = BatchReader(self._store, self._session).gather(self._changes)
        codec = self._store.codec
        missing = codec.missing({each.access.owner_id for each in self._changes}, to_write=True)
        if missing:
            self.copies = await _beside(reading, codec.fetch(missing, to_write=True))
        else:
            self.copies = await reading
        await self._read_grants()
        await self._replay()
        if codec.seals and self._changes[0].is_big:
            # In a thread, compressing and sealing leaves the interpreter to others.
            answers, documents = await asyncio.to_thread(self._decide_all)
        else:
            answers, documents = self._decide_all()
        await self._write(documents)
        return answers

    def _decide_all(self) -> tuple[list[Any], list[Write]]:
        """Decide all changes; return their answers, and the conversations' statements."""
        answers = [self._decide(change) for change in self._changes]
        copies = self.copies.values()
        return answers, [write for working in copies if (write := working.write()) is not None]

    def _decide(self, change: Change[Any]) -> Any:
        working, change.added = self.copies[change.key], 0
        working.begin_change(sees_trash=change.sees_trash, keeps=change.keeps)
        refused = self._refusal_of_guest(change, working)
        if refused is not None:
            return refused
        recalled = self._recalled.get(change)
        if isinstance(recalled, ChatvaultError):
            return recalled
        if recalled is not None:
            answer, entry = recalled
            working.outbox.entries.append(entry)
            return answer
        if (later := self._keep_back(change)) is not None:
            return later
        before = working.added
        try:
            if change.idempotent is None:
                answer = change.decide(working)
            else:
                answer = self._decide_once(change, change.idempotent, working)
        except ChatvaultError as error:
            if working.was_changed:
                # A bug in a decision: it would answer with the error and store the change.
                raise HalfDecided(f"{change.action} refused with {error.code}") from error
            if isinstance(error, RetryAfterMove):
                self._postponed.add(change.key)
            return error
        working.end_change()
        change.added = working.added - before
        return answer

    def _keep_back(self, change: Change[Any]) -> ChatvaultError | None:
        """Return the error of a change that follows a postponed one, or is beyond a limit."""
        if change.key in self._postponed:
            return Behind()
        return None if change.reserved is None else change.reserved.refusal

    async def _read_grants(self) -> None:
        """Read the grants of guests again: each may have ended since the request came.

        One that ends while this batch is under way is a change of the same conversation, so that
        one of the two conflicts.
        """
        asked = {
            (each.access.grantee_id, each.where[1])
            for each in self._changes
            if each.access.grantee_id is not None
        }
        if asked:
            self._needs = dict(await Grant.read_needs(asked, self._session))

    def _refusal_of_guest(self, change: Change[Any], working: WorkingCopy) -> ChatvaultError | None:
        """Return the error of a guest whose grant has ended, or does not allow the change."""
        access = change.access
        if access.grantee_id is None:
            return None
        if working.changes_grants:
            # The next batch reads the grants as they are after this one.
            self._postponed.add(change.key)
            return Behind()
        need = self._needs.get((access.grantee_id, access.owner_id, change.where[1]))
        if need is None:
            return NotFound("Conversation not found")
        return refusal_of(need, change.need)

    def _decide_once(self, change: Change[T], idempotent: Idempotent[T], working: WorkingCopy) -> T:
        key = (
            change.actor.owner_id,
            idempotent.idempotency_key.route,
            idempotent.idempotency_key.key,
        )
        if key in self._new_records:
            # The next batch finds the record, and reads what it needs.
            raise RetryAfterMove
        answer = change.decide(working)
        self._new_records[key] = InsertOne(idempotent.record_of(change.actor, answer))
        return answer

    async def _replay(self) -> None:
        """Find the recorded answers to earlier requests with the same keys."""
        keyed = [(each, each.idempotent) for each in self._changes if each.idempotent is not None]
        wanted = [
            IdempotencyRecord.owned_by(
                change.actor,
                route=idempotent.idempotency_key.route,
                key=idempotent.idempotency_key.key,
            )
            for change, idempotent in keyed
        ]
        if not wanted:
            return
        found = IdempotencyRecord.get_pymongo_collection().find(
            {"$or": wanted}, session=self._session
        )
        records = {
            (each["user_id"], each["route"], each["key"]): each for each in await found.to_list()
        }
        for change, idempotent in keyed:
            route, key, _ = idempotent.idempotency_key
            record = records.get((change.actor.owner_id, route, key))
            if record is None:
                continue
            try:
                answer = await idempotent.answer_again(record, self._session)
            except ChatvaultError as error:
                self._recalled[change] = error
            else:
                entry = idempotent.entry(change.actor, change.action, record)
                self._recalled[change] = answer, entry

    async def _write(self, documents: list[Write]) -> None:
        copies = self.copies.values()
        await self._apply(Conversation, documents)
        await self._apply(Segment, [write for working in copies for write in working.segments])
        paths = [write for working in copies for write in working.paths]
        await self._apply(PathRuns, paths, each=False)
        await self._apply(
            PendingDeletion, [write for working in copies for write in working.pending_deletions]
        )
        await self._apply(IdempotencyRecord, list(self._new_records.values()))
        await self._apply(
            Revision, [write for working in copies for write in working.revisions], each=False
        )
        await self._apply(
            Note, [write for working in copies for write in working.notes], each=False
        )
        for document, writes in _grouped(working.beside for working in copies).items():
            await self._apply(document, writes)
        for document, writes in _grouped(working.removals for working in copies).items():
            await self._apply(document, writes, each=False)
        # Late, as another transaction that changes the same counts conflicts until this one ends.
        await self._apply(TagCount, self._tag_writes(), each=False)
        entries: list[Entry] = [entry for working in copies for entry in working.outbox.entries]
        if entries:
            await AuditEntry.store(entries, self._session)

    def _tag_writes(self) -> list[UpdateOne | DeleteOne]:
        changes = [working.tag_change for working in self.copies.values()]
        return tag_writes([change for change in changes if change is not None])

    async def _apply(
        self, document: type[Document], writes: Sequence[Write], *, each: bool = True
    ) -> None:
        """Write the statements; if `each` is set, each must match its document.

        Raises:
            Conflicted: another process changed a document.
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
            # The driver's error quotes messages, which must not reach the logs.
            labels = {"errorLabels": (error.details or {}).get("errorLabels", [])}
            raise OperationFailure("A bulk write was refused", code, labels) from None
        inserted = result.inserted_count + result.upserted_count
        written = inserted + result.matched_count + result.deleted_count
        if each and written != len(writes):
            raise Conflicted
