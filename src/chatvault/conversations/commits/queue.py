"""The commit queue of all conversation changes of a process, many in one transaction."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog
from pymongo.errors import PyMongoError

from chatvault.access import Need
from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.conversations.commits.batch import CommitBatch
from chatvault.conversations.commits.change import OVERHEAD, Change, Key
from chatvault.conversations.commits.errors import Behind, NeedsTree, NoRoom, RetryAfterMove
from chatvault.conversations.commits.ledger import Ledger, Reservation
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, ChatvaultError, OutcomeUnknown, TooLarge
from chatvault.metrics.instruments import CommitMetrics, Metrics
from chatvault.mongodb.database import to_domain_error, transact
from chatvault.outcome import note_stored

T = TypeVar("T")
MAX_ATTEMPTS = 8
# How often a change may be postponed for its own sake, not behind an earlier one.
MAX_SETBACKS = 40
# How many changes are worth a batch of their own beside another.
FEW = 12
# Big changes pause after each batch for as long as it took, up to half a second, while small ones
# came within the last second: MongoDB has written the big one by then.
RECENT = 1.0
MOST_PAUSE = 0.5
log = structlog.get_logger()


class CommitQueue:
    """Commits the changes that arrive together; one batch in flight per conversation.

    A batch reads the documents by owner, decides each change in the order of arrival, and writes
    the accepted ones with all audit entries in one transaction. A refused change fails alone. A
    lone change does not wait; a few beside a batch in flight join the next. Only other processes
    can conflict: then the batch is halved and retried, a bounded number of times. Where a change is
    postponed, later ones of the same conversation wait behind it.

    Big changes have batches of their own, of which one is in flight at a time, so that there is
    always another for the small ones. Beside small changes they pause.

    If a batch leaves a conversation with too many embedded messages, the queue itself adds the
    change that moves the older ones to segments.

    Args:
        store: reads and encodes the messages.
        max_batches: how many batches may be in flight.
        batch_size: the most changes in a batch.
        batch_bytes: about the most bytes in a batch.
        queue_size: the most waiting changes; further ones are refused.
        metrics: measure it; None measures for nobody.
        ledger: counts what users add, and knows their limits; None counts nothing.
    """

    def __init__(
        self,
        store: MessageStore,
        *,
        max_batches: int = 2,
        batch_size: int = 32,
        batch_bytes: int = 4 * 1024 * 1024,
        queue_size: int = 2048,
        metrics: CommitMetrics | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.store = store
        self._max_batches = max_batches
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._queue_size = queue_size
        self._waiting: deque[Change[Any]] = deque()
        self._busy: set[Key] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._is_due = False
        self._has_big = False
        self._big_since = self._small_at = 0.0
        self._ledger = ledger
        self._metrics = metrics or Metrics().commits
        self._metrics.depth.set_function(lambda: self.depth)

    @property
    def depth(self) -> int:
        """The number of changes that wait for a batch."""
        return len(self._waiting)

    async def submit(self, change: Change[T]) -> T:
        """Return the change's answer, once it is stored durably.

        Raises:
            ChatvaultError: what `decide` raised.
            Busy: the queue is full, other processes kept conflicting, or the change was postponed
                too often.
            OutcomeUnknown: the connection broke in the commit.
        """
        ledger = self._ledger
        if ledger is None or change.adds is None or not ledger.is_limiting:
            return await self._commit(change)
        size = change.written + max(0, change.size - OVERHEAD)
        change.reserved = Reservation(change.actor, change.access.owner_id, change.adds, size)
        await ledger.reserve(change.reserved)
        # What may have been stored counts.
        added = change.adds
        try:
            answer = await self._commit(change)
            added = change.added
        except ChatvaultError as error:
            added = change.adds if isinstance(error, OutcomeUnknown) else 0
            raise
        finally:
            ledger.settle(change.reserved, added)
        return answer

    async def _commit(self, change: Change[T]) -> T:
        if len(self._waiting) >= self._queue_size:
            raise Busy(retry_after=1)
        change.answer = asyncio.get_running_loop().create_future()
        change.waits_since = time.perf_counter()
        self._waiting.append(change)
        if not self._is_due:
            # Deferred, so that changes of the same turn of the event loop join the batch.
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)
        answer = await change.answer
        note_stored()
        return answer

    async def drain(self) -> None:
        """Return once no change is waiting or in flight."""
        while self._waiting or self._running:
            self._dispatch()
            await asyncio.sleep(0.001)

    def _dispatch(self) -> None:
        self._is_due = False
        while self._waiting and len(self._running) < self._max_batches:
            if self._running and len(self._waiting) < FEW and not self._has_big:
                # A few changes join the next batch instead: fewer batches mean less work for all.
                return
            batch = self._pick()
            if not batch:
                return
            self._busy |= {change.key for change in batch}
            if batch[0].is_big:
                self._has_big, self._big_since = True, time.perf_counter()
            else:
                self._small_at = time.perf_counter()
            self._measure(batch)
            task = asyncio.create_task(self._carry(batch))
            self._running.add(task)
            # Not in the task itself: a task that is cancelled before its first step does nothing.
            task.add_done_callback(partial(self._end, batch))

    def _measure(self, batch: list[Change[Any]]) -> None:
        at = time.perf_counter()
        self._metrics.size.observe(len(batch))
        for change in batch:
            # A postponed change has waited for its first batch already.
            if change.waits_since:
                self._metrics.wait.observe(at - change.waits_since)
                change.waits_since = 0.0

    def _pick(self) -> list[Change[Any]]:
        """Return the oldest waiting changes of conversations that no batch has in flight.

        Of few changes it takes a share, so that Python works on one batch while MongoDB works on
        another; but changes of the same conversation go together, as they would wait for each
        other. The first one decides whether it is a batch of big changes.
        """
        batch: list[Change[Any]] = []
        passed: list[Change[Any]] = []
        taken: set[Key] = set()
        held: set[Key] = set()
        size = 0
        free = self._max_batches - len(self._running)
        share = max(FEW, -(-len(self._waiting) // free))
        while self._waiting and len(batch) < self._batch_size:
            change = self._waiting[0]
            if batch and size + change.size > self._batch_bytes:
                break
            self._waiting.popleft()
            key = change.key
            if (
                key in self._busy
                or key in held
                or (key not in taken and len(batch) >= share)
                or not self._fits(change, batch, taken)
            ):
                # Later changes of its conversation stay behind it.
                held.add(key)
                passed.append(change)
            else:
                batch.append(change)
                taken.add(key)
                size += change.size
        self._waiting.extendleft(reversed(passed))
        return batch

    def _fits(self, change: Change[Any], batch: list[Change[Any]], taken: set[Key]) -> bool:
        """Whether big and small changes stay apart if the change joins the batch."""
        if change.is_big:
            return not self._has_big and (not batch or batch[0].is_big)
        # It would wait for a big one of the same conversation anyway.
        return not batch or not batch[0].is_big or change.key in taken

    def _end(self, batch: list[Change[Any]], task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._busy -= {change.key for change in batch}
        if batch[0].is_big:
            self._pause_big()
        if task.cancelled():
            _fail(batch, OutcomeUnknown(retry_after=1))
        elif (error := task.exception()) is not None:
            _fail(batch, error)
        self._dispatch()

    def _pause_big(self) -> None:
        """Leave MongoDB to small changes for a while after a big one, if there are any."""
        at = time.perf_counter()
        if at - self._small_at > RECENT:
            self._has_big = False
            return
        pause = min(at - self._big_since, MOST_PAUSE)
        asyncio.get_running_loop().call_later(pause, self._admit_big)

    def _admit_big(self) -> None:
        self._has_big = False
        self._dispatch()

    async def _carry(self, batch: list[Change[Any]]) -> None:
        """Try a batch, then put what was postponed back in front, in the order of arrival."""
        postponed = Postponed()
        await self._try(batch, postponed)
        self._waiting.extendleft(reversed(postponed.moves + postponed.changes))

    async def _try(
        self, batch: list[Change[Any]], postponed: "Postponed", attempt: int = 1
    ) -> None:
        batch = postponed.keep_order(batch)
        if not batch:
            return
        attempts: list[CommitBatch] = []
        started = time.perf_counter()

        async def carry(session: Any) -> list[Any]:
            attempts.append(CommitBatch(batch, self.store, session))
            return await attempts[-1].carry()

        try:
            answers = await transact(carry, attempts=1)
        except Busy:
            if attempt == MAX_ATTEMPTS:
                _fail(batch, Busy(retry_after=1))
                return
            await asyncio.sleep(random.random() * 0.005 * 2**attempt)  # noqa: S311  # jitter
            middle = (len(batch) + 1) // 2
            await self._try(batch[:middle], postponed, attempt + 1)
            await self._try(batch[middle:], postponed, attempt + 1)
        except Exception as error:  # noqa: BLE001  # handed to each of those who wait
            if batch[1:] and _is_ones_own(error):
                for change in batch:
                    await self._try([change], postponed, attempt)
                return
            _fail(batch, error)
            if getattr(error, "timeout", False):
                # Waiting changes would run into the same failure after the same time.
                _fail(self._waiting, error)
                self._waiting.clear()
        else:
            self._metrics.seconds.observe(time.perf_counter() - started)
            self._tell(batch, attempts[-1].copies)
            _settle(batch, answers, attempts[-1].copies, postponed)

    def _tell(self, batch: list[Change[Any]], copies: dict[Key, WorkingCopy]) -> None:
        """Tell the ledger, and those who follow, what a batch has added."""
        for working in copies.values():
            if (conversation_id := working.conversation_id) is not None:
                owner_id = working.access.owner_id
                self.store.fresh.note(owner_id, conversation_id, working.appended)
                self.store.newest.forget(owner_id, conversation_id)
        if self._ledger is not None:
            self._ledger.note(
                [(change.actor, change.added) for change in batch if change.added],
                [(key[0], grown) for key, working in copies.items() if (grown := working.grown)],
            )


class Postponed:
    """The changes that the parts of a batch leave for a later one.

    Attributes:
        changes: in the order of arrival.
        moves: the changes that move messages first.
    """

    def __init__(self) -> None:
        self.changes: list[Change[Any]] = []
        self.moves: list[Change[Any]] = []

    def keep_order(self, batch: list[Change[Any]]) -> list[Change[Any]]:
        """Postpone the changes of conversations of which one is postponed; return the others."""
        keys = {change.key for change in self.changes}
        self.changes += [change for change in batch if change.key in keys]
        return [change for change in batch if change.key not in keys]


def _settle(
    batch: list[Change[Any]],
    answers: list[Any],
    copies: dict[Key, WorkingCopy],
    postponed: Postponed,
) -> None:
    """Give the changes of a committed batch their answers, and postpone the others."""
    waits: set[Key] = set()
    crowded: set[Key] = set()
    for change, answer in zip(batch, answers, strict=True):
        if isinstance(answer, RetryAfterMove):
            if not isinstance(answer, Behind) and not _set_back(change):
                continue
            postponed.changes.append(change)
            change.needs_tree |= isinstance(answer, NeedsTree)
            if not isinstance(answer, Behind) and not change.needs_tree:
                waits.add(change.key)
            if isinstance(answer, NoRoom):
                crowded.add(change.key)
        elif isinstance(answer, Exception):
            _fail([change], answer)
        elif not change.answer.done():
            change.answer.set_result(answer)
    # A move that did not suffice is not repeated.
    changed = {change.key for change in batch if not change.needs_last_segment}
    for key, working in copies.items():
        if key in waits or (key in changed and working.overflows):
            postponed.moves.append(_move(working, key, whole=key in crowded))


def _set_back(change: Change[Any]) -> bool:
    """Count a postponement; return whether the change may still wait."""
    change.setbacks += 1
    if change.setbacks < MAX_SETBACKS:
        return True
    log.warning("change_set_back_too_often", action=change.action)
    _fail([change], Busy(retry_after=1))
    return False


def _move(working: WorkingCopy, key: Key, *, whole: bool) -> Change[None]:
    """Return the change that moves older messages to segments, which no reader notices."""
    _, field, value = key
    move: Change[None] = Change(
        actor=Actor(door=Door.BACKGROUND, user_id=working.access.owner_id),
        # In the name of the owner, even if the message that is one too many is a guest's.
        access=replace(working.access, role=Need.MANAGE, grantee_id=None),
        action=Action.CONVERSATION_UPDATE,
        where=(field, value),
        decide=lambda working: working.move_overflow(whole=whole) if working.exists else None,
        needs_tail=True,
        needs_last_segment=True,
        size=working.fields["tail_bytes"] if working.exists else 0,
    )
    move.answer = asyncio.get_running_loop().create_future()
    move.answer.add_done_callback(_report)
    return move


def _report(answer: "asyncio.Future[None]") -> None:
    # Nobody waits for it: the next change of the conversation tries again.
    if not answer.cancelled() and (error := answer.exception()) is not None:
        log.warning("messages_not_moved_yet", error=type(error).__name__)


def _is_ones_own(error: Exception) -> bool:
    """Whether one change of a batch may be at fault, so that the others deserve another attempt."""
    if isinstance(error, PyMongoError):
        known = to_domain_error(error)
        return known is None or isinstance(known, TooLarge)
    return not isinstance(error, ChatvaultError)


def _fail(batch: Iterable[Change[Any]], error: BaseException) -> None:
    for change in batch:
        if not change.answer.done():
            change.answer.set_exception(error)
