"""The one lane that all conversation changes of a process pass, many in one transaction."""

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

import structlog
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.conversations.commits.batch import CommitBatch
from chatvault.conversations.commits.change import Change, Key
from chatvault.conversations.commits.errors import NoRoom, RetryAfterMove
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, ChatvaultError, OutcomeUnknown, TooLarge
from chatvault.mongodb.database import to_domain_error, transact
from chatvault.outcome import note_stored

T = TypeVar("T")
MAX_ATTEMPTS = 8
# So often a change may be set back by a group. One of those that are set back together gets on
# each time, and a group has at most 32.
MAX_SETBACKS = 40
# So many are worth a group of their own beside another.
FEW = 12
log = structlog.get_logger()


class CommitQueue:
    """Groups the changes that arrive together; one group in flight per conversation.

    A group reads the documents by owner, decides each change in the order of arrival, and writes
    what was accepted with all audit entries in one transaction. A change that is refused fails
    alone. A lone one waits for nobody; a few beside a group in flight join the next. Only other
    processes can be in the way: then the group is halved and tried again, a bounded number of
    times.

    Big changes have groups of their own, of which one is in flight at a time, so that there is
    always another for the small ones.

    Where a group leaves a conversation with too many embedded messages, the lane itself adds
    the change that moves the older ones to segments.

    Args:
        store: reads and encodes the messages.
        groups: how many groups may be in flight.
        group_size: at most so many changes in one.
        group_bytes: about so many bytes in one.
        queue_size: beyond so many waiting changes new ones are refused.
    """

    def __init__(
        self,
        store: MessageStore,
        *,
        groups: int = 2,
        group_size: int = 32,
        group_bytes: int = 4 * 1024 * 1024,
        queue_size: int = 2048,
    ) -> None:
        self.store = store
        self._groups = groups
        self._group_size = group_size
        self._group_bytes = group_bytes
        self._queue_size = queue_size
        self._waiting: deque[Change[Any]] = deque()
        self._busy: set[Key] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._is_due = False
        self._has_big = False

    async def submit(self, change: Change[T]) -> T:
        """Return the change's own answer, once it is stored durably.

        Raises:
            ChatvaultError: what `decide` raised.
            Busy: the queue is full, other processes were in the way all the time, or the change
                was set back too often.
            OutcomeUnknown: the connection broke in the commit.
        """
        if len(self._waiting) >= self._queue_size:
            raise Busy(retry_after=1)
        change.answer = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        if not self._is_due:
            # Not at once: what this turn of the event loop brings comes along.
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)
        answer = await change.answer
        note_stored()
        return answer

    async def drain(self) -> None:
        """Return once nothing waits and nothing is in flight."""
        while self._waiting or self._running:
            self._dispatch()
            await asyncio.sleep(0.001)

    def _dispatch(self) -> None:
        self._is_due = False
        while self._waiting and len(self._running) < self._groups:
            if self._running and len(self._waiting) < FEW and not self._has_big:
                # Few join the next group instead: the fewer the groups, the less work for all.
                return
            group = self._pick()
            if not group:
                return
            self._busy |= {change.key for change in group}
            self._has_big |= group[0].is_big
            task = asyncio.create_task(self._try(group))
            self._running.add(task)
            # Not in the task itself: one that is cancelled before its first step does nothing.
            task.add_done_callback(partial(self._end, group))

    def _pick(self) -> list[Change[Any]]:
        """Return the oldest waiting changes of conversations that no group has in flight.

        Of few it takes a share, so that Python works for one group while MongoDB does for another;
        but changes of the same conversation go together, as they would wait for each other. The
        first one says whether it is a group of big changes.
        """
        group: list[Change[Any]] = []
        passed: list[Change[Any]] = []
        taken: set[Key] = set()
        held: set[Key] = set()
        size = 0
        free = self._groups - len(self._running)
        share = max(FEW, -(-len(self._waiting) // free))
        while self._waiting and len(group) < self._group_size:
            change = self._waiting[0]
            if group and size + change.size > self._group_bytes:
                break
            self._waiting.popleft()
            key = change.key
            if (
                key in self._busy
                or key in held
                or (key not in taken and len(group) >= share)
                or not self._fits(change, group, taken)
            ):
                # What comes later in its conversation stays behind it.
                held.add(key)
                passed.append(change)
            else:
                group.append(change)
                taken.add(key)
                size += change.size
        self._waiting.extendleft(reversed(passed))
        return group

    def _fits(self, change: Change[Any], group: list[Change[Any]], taken: set[Key]) -> bool:
        """Whether big and small stay apart if the change joins the group."""
        if change.is_big:
            return not self._has_big and (not group or group[0].is_big)
        # It would wait for a big one of the same conversation anyway.
        return not group or not group[0].is_big or change.key in taken

    def _end(self, group: list[Change[Any]], task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._busy -= {change.key for change in group}
        if group[0].is_big:
            self._has_big = False
        if task.cancelled():
            _fail(group, OutcomeUnknown(retry_after=1))
        elif (error := task.exception()) is not None:
            _fail(group, error)
        self._dispatch()

    async def _try(self, group: list[Change[Any]], attempt: int = 1) -> None:
        groups: list[CommitBatch] = []

        async def carry(session: Any) -> list[Any]:
            groups.append(CommitBatch(group, self.store, session))
            return await groups[-1].carry()

        try:
            answers = await transact(carry, attempts=1)
        except Busy:
            if attempt == MAX_ATTEMPTS:
                _fail(group, Busy(retry_after=1))
                return
            await asyncio.sleep(random.random() * 0.005 * 2**attempt)  # noqa: S311  # jitter
            middle = (len(group) + 1) // 2
            await self._try(group[:middle], attempt + 1)
            if group[middle:]:
                await self._try(group[middle:], attempt + 1)
        except Exception as error:  # noqa: BLE001  # handed to each of those who wait
            if group[1:] and _is_ones_own(error):
                for change in group:
                    await self._try([change], attempt)
                return
            _fail(group, error)
            if getattr(error, "timeout", False):
                # Those behind would wait once more as long for the same.
                _fail(self._waiting, error)
                self._waiting.clear()
        else:
            self._settle(group, answers, groups[-1].copies)

    def _settle(
        self, group: list[Change[Any]], answers: list[Any], copies: dict[Key, WorkingCopy]
    ) -> None:
        stalled: list[Change[Any]] = []
        crowded: set[Key] = set()
        for change, answer in zip(group, answers, strict=True):
            if isinstance(answer, RetryAfterMove):
                change.setbacks += 1
                if change.setbacks >= MAX_SETBACKS:
                    log.warning("change_set_back_too_often", action=change.action)
                    _fail([change], Busy(retry_after=1))
                    continue
                stalled.append(change)
                if isinstance(answer, NoRoom):
                    crowded.add(change.key)
            elif isinstance(answer, Exception):
                _fail([change], answer)
            elif not change.answer.done():
                change.answer.set_result(answer)
        self._waiting.extendleft(reversed(stalled))
        waits = {change.key for change in stalled}
        # A move that is not enough is no reason for another.
        changed = {change.key for change in group if not change.needs_last_segment}
        for key, working in copies.items():
            if key in waits or (key in changed and working.overflows):
                self._waiting.appendleft(_move(working, key, whole=key in crowded))


def _move(working: WorkingCopy, key: Key, *, whole: bool) -> Change[None]:
    """Our own housekeeping: older messages go to segments, and nobody sees a difference."""
    owner_id, field, value = key
    move: Change[None] = Change(
        actor=Actor(door=Door.BACKGROUND, user_id=owner_id),
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
    """Whether one change of a group may be at fault, so that the others deserve another try."""
    if isinstance(error, PyMongoError):
        known = to_domain_error(error)
        return known is None or isinstance(known, TooLarge)
    return not isinstance(error, ChatvaultError)


def _fail(group: Iterable[Change[Any]], error: BaseException) -> None:
    for change in group:
        if not change.answer.done():
            change.answer.set_exception(error)
