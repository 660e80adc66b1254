"""The one lane that all conversation changes of a process pass, many in one transaction."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.results import BulkWriteResult

from chatvault.actor import Actor
from chatvault.audit.models import AuditEntry
from chatvault.conversations.draft import Draft, Write
from chatvault.conversations.models import Conversation, Raw
from chatvault.database import transaction
from chatvault.errors import Busy, ChatvaultError

T = TypeVar("T")
Key = tuple[ObjectId, str, Any]
HEAD_FIELDS = (
    "user_id", "title", "status", "tags", "source", "created_at", "updated_at",
    "last_message_at", "total_messages", "message_bytes", "first_seq", "next_seq", "version",
)  # fmt: skip
DUPLICATE_KEY = 11000
MAX_ATTEMPTS = 8
log = structlog.get_logger()


class Conflicted(Busy):
    """Another process changed the same conversation."""


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Generic[T]):
    """One request's wish.

    Attributes:
        actor: whose conversation it must be.
        where: `_id` or `source`, and its value.
        decide: looks at the draft and either refuses by raising, before it touched anything, or
            decides and gives the answer. It may be called again, on another draft.
        message_ids: ids that the decision asks about.
        needs_metadata: the decision reads the metadata.
        is_new: the conversation begins with this change, so there is nothing to read.
        size: about how many bytes it writes.
    """

    actor: Actor
    where: tuple[str, Any]
    decide: Callable[[Draft], T]
    message_ids: frozenset[str] = frozenset()
    needs_metadata: bool = False
    is_new: bool = False
    size: int = 0
    answer: "asyncio.Future[T]" = field(init=False)

    @property
    def key(self) -> Key:
        """What two changes of the same conversation share."""
        return (self.actor.owner_id, *self.where)


class Lane:
    """Groups the changes that arrive together; one group in flight per conversation.

    A group reads the heads by owner, decides each change in the order of arrival, and writes
    what was accepted with all audit entries in one transaction. A change that is refused fails
    alone, and a lone one waits for nobody. Only other processes can be in the way: then the
    group is halved and tried again, a bounded number of times.

    Args:
        groups: how many groups may be in flight.
        group_size: at most so many changes in one.
        group_bytes: about so many bytes in one.
        queue_size: beyond so many waiting changes new ones are refused.
    """

    def __init__(
        self,
        *,
        groups: int = 2,
        group_size: int = 32,
        group_bytes: int = 4 * 1024 * 1024,
        queue_size: int = 2048,
    ) -> None:
        self._groups = groups
        self._group_size = group_size
        self._group_bytes = group_bytes
        self._queue_size = queue_size
        self._waiting: deque[Change[Any]] = deque()
        self._busy: set[Key] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, change: Change[T]) -> T:
        """The change's own answer, once it is stored durably.

        Raises:
            ChatvaultError: what `decide` raised.
            Busy: the queue is full, or other processes were in the way all the time.
            OutcomeUnknown: the connection broke in the commit.
        """
        if len(self._waiting) >= self._queue_size:
            raise Busy(retry_after=1)
        change.answer = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        self._dispatch()
        return await change.answer

    def _dispatch(self) -> None:
        while self._waiting and len(self._running) < self._groups:
            group = self._pick()
            if not group:
                return
            task = asyncio.create_task(self._carry(group))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def _pick(self) -> list[Change[Any]]:
        """The oldest waiting changes of conversations that no group has in flight."""
        group: list[Change[Any]] = []
        passed: list[Change[Any]] = []
        size = 0
        while self._waiting and len(group) < self._group_size:
            change = self._waiting[0]
            if group and size + change.size > self._group_bytes:
                break
            self._waiting.popleft()
            if change.key in self._busy:
                passed.append(change)
            else:
                group.append(change)
                size += change.size
        self._waiting.extendleft(reversed(passed))
        return group

    async def _carry(self, group: list[Change[Any]]) -> None:
        keys = {change.key for change in group}
        self._busy |= keys
        try:
            await self._try(group)
        except Exception as error:  # noqa: BLE001  # handed to each of those who wait
            _fail(group, error)
        finally:
            self._busy -= keys
            asyncio.get_running_loop().call_soon(self._dispatch)

    async def _try(self, group: list[Change[Any]], attempt: int = 1) -> None:
        try:
            decided = await transaction(
                lambda session: _decide_and_write(group, session), attempts=1
            )
        except Busy as error:
            if attempt == MAX_ATTEMPTS:
                _fail(group, error)
                return
            await asyncio.sleep(random.random() * 0.005 * 2**attempt)  # noqa: S311  # jitter
            middle = (len(group) + 1) // 2
            await self._try(group[:middle], attempt + 1)
            if group[middle:]:
                await self._try(group[middle:], attempt + 1)
        except Exception as error:  # noqa: BLE001  # handed to each of those who wait
            _fail(group, error)
        else:
            for change, answer in zip(group, decided, strict=True):
                if isinstance(answer, ChatvaultError):
                    _fail([change], answer)
                elif not change.answer.done():
                    change.answer.set_result(answer)


def _fail(group: Iterable[Change[Any]], error: Exception) -> None:
    for change in group:
        if not change.answer.done():
            change.answer.set_exception(error)


async def _decide_and_write(group: list[Change[Any]], session: AsyncClientSession) -> list[Any]:
    """Each change's answer, or the error it is refused with, once all is written."""
    heads = await _read_heads(group, session)
    drafts: dict[Key, Draft] = {}
    answers: list[Any] = []
    for change in group:
        draft = drafts.get(change.key)
        if draft is None:
            draft = Draft(change.actor.owner_id, heads.get(change.key))
            drafts[change.key] = draft
        try:
            answers.append(change.decide(draft))
        except ChatvaultError as error:
            answers.append(error)
    await _write(list(drafts.values()), session)
    return answers


async def _read_heads(group: list[Change[Any]], session: AsyncClientSession) -> dict[Key, Raw]:
    wanted = [change for change in group if not change.is_new]
    if not wanted:
        return {}
    filters = {
        change.key: Conversation.owned_by(change.actor, **dict([change.where])) for change in wanted
    }
    projection: Raw = dict.fromkeys(HEAD_FIELDS, True)
    if any(change.needs_metadata for change in wanted):
        projection["metadata"] = True
    ids = sorted({message_id for change in wanted for message_id in change.message_ids})
    if ids:
        known = {"input": "$messages", "cond": {"$in": ["$$this.id", ids]}}
        projection["known"] = {"$filter": known}
    found = Conversation.get_pymongo_collection().find(
        {"$or": list(filters.values())}, projection, session=session
    )
    heads: dict[Key, Raw] = {}
    async for head in found:
        for field_name in ("_id", "source"):
            key = (head["user_id"], field_name, head.get(field_name))
            if key in filters:
                heads[key] = head
    return heads


async def _write(drafts: list[Draft], session: AsyncClientSession) -> None:
    writes: list[Write] = [write for draft in drafts if (write := draft.write()) is not None]
    entries = [entry for draft in drafts for entry in draft.entries]
    if writes:
        try:
            result = await Conversation.get_pymongo_collection().bulk_write(writes, session=session)
        except BulkWriteError as error:
            if _is_duplicate(error):
                raise Conflicted from error
            raise
        if _count(result) != len(writes):
            raise Conflicted
    if entries:
        await AuditEntry.get_pymongo_collection().insert_many(entries, session=session)


def _count(result: BulkWriteResult) -> int:
    return result.inserted_count + result.matched_count + result.deleted_count


def _is_duplicate(error: PyMongoError) -> bool:
    details: Raw = getattr(error, "details", None) or {}
    return any(each.get("code") == DUPLICATE_KEY for each in details.get("writeErrors", ()))
