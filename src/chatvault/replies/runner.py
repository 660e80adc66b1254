"""Write the replies of this process, and interrupt those whose process has ended."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.commands import permissions
from chatvault.commands.proposals import propose
from chatvault.commands.runner import CommandRunner, CommandTask
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.errors import ChatvaultError, NotFound, Unavailable
from chatvault.fields import Raw, now
from chatvault.mongodb import leases
from chatvault.mongodb.renewing import LEASE_SECONDS, Contact, keep_renewing
from chatvault.replies import events
from chatvault.replies.errors import ModelFailed, ReplyInterrupted
from chatvault.replies.events import LAST, EventLog, Live
from chatvault.replies.finish import AlreadyEnded, FinishedReply, ReplyResult, finish
from chatvault.replies.model_calls import thoughts_of
from chatvault.replies.models import Reply, ReplyDoc, State
from chatvault.replies.provider import ModelClients
from chatvault.replies.task import FlushTimer, ReplyTask
from chatvault.tasks import run_together
from chatvault.tokens import Tokenizer

FLUSH = 0.04  # seconds between two flushes, which all replies share
LOOK_EVERY = 0.5
REAP_EVERY = 2.0
# How long storing the end of a reply is retried; until then it is only in memory.
FINISH_WITHIN = 600.0
MAX_PAUSE = 5.0
GRACE = 3.0
log = structlog.get_logger()


class ReplyRunner:
    """Runs replies as tasks; events go through the event log, ends through the commit queue.

    Args:
        commits: the queue that stores the ends.
        models: the clients of the models.
        tokenizer: counts tokens where a provider does not.
        event_log: stores the events.
        commands: runs what a rule approves.
        wake: called when there is a background job.
    """

    def __init__(
        self,
        *,
        commits: CommitQueue,
        models: ModelClients,
        tokenizer: Tokenizer,
        event_log: EventLog,
        commands: CommandRunner,
        wake: Callable[[], None],
    ) -> None:
        self._commits = commits
        self._models = models
        self._tokenizer = tokenizer
        self._log = event_log
        self._commands = commands
        self._wake = wake
        self._timer = FlushTimer(FLUSH)
        self._contact = Contact()
        self._runs: dict[ObjectId, ReplyTask] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """The number of replies that this process writes."""
        return len(self._runs)

    def launch(self, task: ReplyTask) -> None:
        """Start writing a reply; it continues even if nobody follows it."""
        self._runs[task.reply["_id"]] = task
        self._log.open(task.live)
        writing = asyncio.create_task(self._write(task))
        self._tasks.add(writing)
        writing.add_done_callback(self._tasks.discard)

    def cancel(self, reply_id: ObjectId) -> None:
        """Cancel a reply that this process writes."""
        if (task := self._runs.get(reply_id)) is not None:
            task.stop(State.CANCELLED)

    async def close(self) -> None:
        """Let replies run to their end for a while, then end them with the text so far."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)
        for task in self._runs.values():
            task.stop(State.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _write(self, task: ReplyTask) -> None:
        task.reading = reading = asyncio.create_task(self._read(task))
        try:
            await self._flush(task, reading)
            failed = None if reading.cancelled() else reading.exception()
            error = None if failed is None else _to_domain_error(failed)
            await self._end(await self._ending(task, error))
        finally:
            reading.cancel()
            if not task.live.has_ended:
                # For followers; stored replies are taken over when their lease ends.
                task.live.publish([_error_event(task.reply, State.INTERRUPTED, ReplyInterrupted())])
            if self._runs.get(task.reply["_id"]) is task:
                del self._runs[task.reply["_id"]]
            self._log.close(task.live)
            if task.chunks is not None:
                task.chunks.put_nowait(None)

    async def _read(self, task: ReplyTask) -> None:
        if task.stopped is not None:
            return
        async for chunk in self._models.stream(task.ask):
            if task.stopped is not None:
                # The cancellation was lost.
                return
            task.take(chunk)
            if (task.pending or task.pending_thinking) and not task.is_due:
                task.is_due = True
                self._timer.set(task.dirty)

    async def _flush(self, task: ReplyTask, reading: "asyncio.Task[None]") -> None:
        """Store chunks while they are read, in batches of all replies; the end stores the rest."""
        reading.add_done_callback(lambda _: task.dirty.set())
        while not reading.done():
            await task.dirty.wait()
            task.dirty.clear()
            task.is_due = False
            if not reading.done():
                await self._store(task)
        if task.unsure:
            await self._store(task)
        if reading.cancelled() or reading.exception() is not None:
            # An incomplete call cannot be run, so it is dropped.
            task.calls.clear()
        task.identify_calls()

    async def _store(self, task: ReplyTask) -> None:
        """Store pending chunks, and publish them.

        Events whose storing seemed to fail may be stored all the same: they come first and
        unchanged, so that every follower reads the same.
        """
        try:
            if task.unsure:
                await self._log.store(task.live, task.unsure)
                task.unsure = []
            if said := task.take_pending():
                task.unsure = said
                await self._log.store(task.live, task.unsure)
                task.unsure = []
        except PyMongoError as error:
            # Not published, but not lost: it is part of the answer.
            log.warning("reply_events_not_stored", error=type(error).__name__)
            self._timer.set(task.dirty)

    async def _ending(self, task: ReplyTask, error: ChatvaultError | None) -> ReplyResult:
        state = State.COMPLETED
        calls = [call for _, call in sorted(task.calls.items())]
        if task.stopped is not None:
            state = task.stopped
            error = ReplyInterrupted() if state is State.INTERRUPTED else None
        elif error is not None:
            state = State.FAILED
        elif calls and task.ask.tools:
            state = State.WAITING
        tokens = task.usage
        if tokens is None:
            said = task.thinking + task.text + "".join(call["arguments"] for call in calls)
            output = await asyncio.to_thread(self._tokenizer.count, said, task.ask.model)
            # Without any chunk nothing is charged; a refusal costs nothing.
            tokens = (task.reply["input_tokens"], output) if said or error is None else (0, 0)
        return ReplyResult(
            actor=task.actor,
            reply=task.reply,
            live=task.live,
            state=state,
            error=error,
            text=task.text,
            thoughts=task.thoughts,
            calls=calls,
            finish_reason=task.finish_reason,
            tokens=tokens,
            counted_here=task.usage is None,
            further=task.further,
            response_time_ms=round((time.perf_counter() - task.began) * 1000),
            summarize=task.summarize,
            offered={tool["function"]["name"]: tool for tool in task.ask.tools},
            said=task.rest(),
        )

    async def _end(self, result: ReplyResult) -> None:
        """Store the end; retry while the database is away."""
        until = time.monotonic() + FINISH_WITHIN
        for attempt in itertools.count():
            try:
                if attempt and await self._show_stored(result):
                    # It was stored, though it seemed to fail.
                    return
                if result.state is State.WAITING:
                    result = await self._propose(result)
                ended = await finish(self._commits, result)
            except AlreadyEnded:
                await self._show_stored(result)
                return
            except NotFound:
                # The conversation was deleted, and its replies with it.
                gone = NotFound("Conversation not found")
                result.live.publish([_error_event(result.reply, State.FAILED, gone)])
                return
            except (Unavailable, PyMongoError) as error:
                log.warning("reply_not_finished_yet", error=type(error).__name__)
                if time.monotonic() > until:
                    return
                await asyncio.sleep(min(MAX_PAUSE, 0.2 * 2 ** min(attempt, 5)))
            else:
                self._models.tokens.count(result.reply["kind"], result.tokens)
                result.live.publish(ended.events)
                self._follow_up(result, ended)
                return

    def _follow_up(self, result: ReplyResult, ended: FinishedReply) -> None:
        """Start the work that follows a stored end."""
        if ended.has_jobs:
            self._wake()
        for command in ended.approved:
            if ended.message_id is not None:
                self._commands.launch(
                    CommandTask(
                        actor=result.actor,
                        access=result.live.access,
                        conversation_id=result.reply["conversation_id"],
                        message_id=ended.message_id,
                        reply_id=result.reply["_id"],
                        command=command,
                    )
                )

    async def _propose(self, result: ReplyResult) -> ReplyResult:
        """Return the result with the commands for its calls."""
        may = await permissions.find(result.actor)
        tools = self._commands.tools
        commands = propose(result.calls, offered=result.offered, tools=tools, may=may, at=now())
        return replace(result, commands=commands)

    @staticmethod
    async def _show_stored(result: ReplyResult) -> bool:
        """Publish stored events that were not published; return whether the end is among them."""
        live = result.live
        stored = await events.read(live.access, result.reply["_id"])
        has_ended = bool(stored) and stored[-1].type in LAST
        # The process that took the reply over knew fewer events; its end reuses one of their
        # numbers.
        rest = stored[len(live.events) :] or (stored[-1:] if has_ended else [])
        live.publish([(event.type, event.data) for event in rest])
        return has_ended

    async def keep(self) -> None:
        """Renew leases, stop cancelled replies, and interrupt lost ones, until cancelled.

        Slow work, such as interrupting replies, does not delay renewals.
        """
        await run_together(keep_renewing(self._renew, self._contact), self._maintain())

    async def _maintain(self) -> None:
        reap_at = 0.0
        while True:
            try:
                await self._stop_cancelled()
                if time.monotonic() >= reap_at:
                    reap_at = time.monotonic() + REAP_EVERY
                    await self.reap()
            except (PyMongoError, ChatvaultError) as error:
                log.warning("replies_not_looked_after", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)

    async def _renew(self) -> None:
        """Renew the leases of this process's replies; stop those whose lease was lost."""
        mine: Raw = {"_id": {"$in": list(self._runs)}, "state": State.RUNNING.value}
        replies = Reply.get_pymongo_collection()
        renewed = await replies.update_many(mine, LEASED)
        ids: list[ObjectId] = mine["_id"]["$in"]
        if renewed.matched_count < len(ids):
            left = {reply["_id"] async for reply in replies.find(mine, {"_id": True})}
            for lost in set(ids) - left:
                if (task := self._runs.get(lost)) is not None:
                    task.stop(State.INTERRUPTED)

    async def _stop_cancelled(self) -> None:
        if self._runs:
            wanted = {"_id": {"$in": list(self._runs)}, "cancel_requested": True}
            found = Reply.get_pymongo_collection().find(wanted, {"_id": True})
            async for reply in found:
                self.cancel(reply["_id"])

    async def reap(self, conversation_id: ObjectId | None = None) -> int:
        """Interrupt the replies whose process has ended; return how many.

        Return 0 if MongoDB was away a moment ago, as leases mean nothing then.

        Args:
            conversation_id: only those of this conversation; None for all.
        """
        reaped = 0
        if not self._contact.is_steady:
            return reaped
        dead: Raw = {"state": State.RUNNING.value, **leases.expired("lease_until")}
        if conversation_id is not None:
            dead["conversation_id"] = conversation_id
        while reply := await Reply.get_pymongo_collection().find_one_and_update(dead, LEASED):
            if reply["_id"] not in self._runs:
                await self._interrupt(reply)
            reaped += 1
        return reaped

    async def _interrupt(self, reply: ReplyDoc) -> None:
        actor = Actor(door=Door.BACKGROUND, user_id=reply["user_id"])
        live = Live(Access.of(actor), reply["conversation_id"], reply["_id"])
        stored = await events.read(live.access, reply["_id"])
        live.publish([(event.type, event.data) for event in stored])
        stored = events.round_of(stored)
        said, thought = events.text_of(stored), events.text_of(stored, "thinking")
        # The provider's usage is lost: the text so far is counted here.
        output = await asyncio.to_thread(self._tokenizer.count, thought + said, reply["model"])
        result = ReplyResult(
            actor=actor,
            reply=reply,
            live=live,
            state=State.INTERRUPTED,
            error=ReplyInterrupted(),
            text=said,
            thoughts=thoughts_of(thought),
            calls=events.calls_of(stored),
            tokens=(reply["input_tokens"], output) if output else (0, 0),
            counted_here=True,
        )
        try:
            await finish(self._commits, result)
        except AlreadyEnded:
            pass
        except NotFound:
            mine = {"_id": reply["_id"], "user_id": reply["user_id"]}
            await Reply.get_pymongo_collection().delete_one(mine)
        else:
            log.info("reply_taken_over", reply_id=str(reply["_id"]))


LEASED = leases.extension("lease_until", LEASE_SECONDS)


def _error_event(reply: ReplyDoc, state: State, error: ChatvaultError) -> tuple[str, Raw]:
    shown: Raw = {"reply_id": reply["_id"], "state": state.value, "message": None}
    return "error", shown | {"code": error.code, "detail": error.detail}


def _to_domain_error(error: BaseException) -> ChatvaultError:
    if isinstance(error, ChatvaultError):
        return error
    log.error("reply_failed", exc_info=error)
    return ModelFailed()
