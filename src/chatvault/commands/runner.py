"""Runs approved commands, each at most once, and ends those whose process has ended."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.commands import proposals
from chatvault.commands.errors import CommandNotFound, ServerUnavailable
from chatvault.commands.models import Command, Status
from chatvault.commands.servers import Servers
from chatvault.commands.tools import Result, Tool, read_arguments
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.errors import ChatvaultError, NotFound, Unavailable
from chatvault.fields import Raw, now
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction
from chatvault.mongodb.renewing import LEASE_SECONDS, Contact, keep_renewing
from chatvault.tasks import run_together

REAP_EVERY = 2.0
GRACE = 3.0
# How long storing a result is retried; until then it is only in memory.
SETTLE_WITHIN = 600.0
MAX_PAUSE = 5.0
INTERRUPTED = Result(
    text="The service stopped while it ran; it may have done its work.", code="interrupted"
)
# Commands stored before 0.2 have no pin.
CHANGED = Result(
    text="The tool is not known to be the one that this call was made for; it did not run. "
    "Call it again if it still fits.",
    code="tool_changed",
)
log = structlog.get_logger()
# Decides what follows once all commands of a waiting reply are settled.
Continue = Callable[[WorkingCopy, ObjectId], None]


class AlreadySettled(ChatvaultError):
    """Another process ended this command, as its own seemed to have died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTask:
    """An approved command, which belongs to the process that stored the approval.

    Attributes:
        command: as stored on its message.
    """

    actor: Actor
    access: Access
    conversation_id: ObjectId
    message_id: str
    reply_id: ObjectId | None
    command: Raw


class CommandRunner:
    """Runs commands as tasks.

    Args:
        commits: the queue that stores the results.
        servers: the MCP servers.
        follow: decides what follows once a waiting reply has all its results.
        wake: called once that is stored.
    """

    def __init__(
        self, commits: CommitQueue, servers: Servers, *, follow: Continue, wake: Callable[[], None]
    ) -> None:
        self._commits = commits
        self._servers = servers
        self._follow = follow
        self.wake = wake
        self._contact = Contact()
        self._tasks: dict[ObjectId, asyncio.Task[None]] = {}
        self._closing = False

    def launch(self, job: CommandTask) -> None:
        """Start a command; it runs on even if nobody waits for it."""
        command_id = job.command["id"]
        self._tasks[command_id] = task = asyncio.create_task(self._run(job))
        task.add_done_callback(lambda _: self._tasks.pop(command_id, None))

    @property
    def tools(self) -> dict[str, Tool]:
        """All known tools, whether they can be called now or not."""
        return self._servers.known

    async def wait(self, command_id: ObjectId) -> bool:
        """Wait until a command of this process has ended; return whether it was one."""
        task = self._tasks.get(command_id)
        if task is not None:
            await asyncio.wait({task})
        return task is not None

    async def close(self) -> None:
        """Let commands run to their end for a while, then end them as interrupted."""
        tasks = set(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)
        self._closing = True
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=10)

    async def _run(self, job: CommandTask) -> None:
        command = job.command
        try:
            result = await self._call(command, job.actor.user_id)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            result = INTERRUPTED
        until = time.monotonic() + SETTLE_WITHIN
        for attempt in itertools.count():
            try:
                await self._settle(job, result)
            except AlreadySettled:
                pass
            except (Unavailable, PyMongoError) as error:
                log.warning("command_not_settled_yet", error=type(error).__name__)
                if time.monotonic() < until:
                    await asyncio.sleep(min(MAX_PAUSE, 0.2 * 2 ** min(attempt, 5)))
                    continue
            return

    async def _call(self, command: Raw, user_id: ObjectId | None) -> Result:
        tool = self._servers.tools.get(command["tool"])
        arguments = read_arguments(command["arguments"])
        if tool is None or arguments is None:
            return Result(text="The server cannot be reached.", code=ServerUnavailable.code)
        # The approval, by a person or a rule, was for this tool of this server.
        if any(command.get(name) != value for name, value in tool.pin().items()):
            return CHANGED
        try:
            return await self._servers.call(tool, arguments, user_id)
        except ServerUnavailable as error:
            return Result(text="The server cannot be reached.", code=error.code)

    async def _settle(self, job: CommandTask, result: Result) -> None:
        """Store the result, once.

        Raises:
            AlreadySettled: another process has stored one.
        """
        status = Status.EXECUTED if result.code is None else Status.FAILED
        fields: dict[str, Any] = {
            "status": status.value,
            "code": result.code,
            "result": result.text,
            "truncated": result.truncated,
            "executed_at": now(),
        }
        actor = Actor(
            door=Door.BACKGROUND, user_id=job.actor.user_id, request_id=job.actor.request_id
        )

        def decide(working: WorkingCopy) -> None:
            at = now()
            carrier, command = proposals.locate(working, job.message_id, job.command["id"])
            if command["status"] != Status.APPROVED:
                raise AlreadySettled
            proposals.take(
                working, actor, carrier, command, Action.COMMAND_EXECUTE, at=at, **fields
            )
            self.follow(working, job.message_id, job.reply_id)

        change: Change[None] = Change(
            actor=actor,
            access=job.access,
            action=Action.COMMAND_EXECUTE,
            where=("_id", job.conversation_id),
            decide=decide,
            message_ids=frozenset({job.message_id}),
            needs_tail=True,
            sees_trash=True,
            size=estimate({"result": result.text}),
        )
        try:
            await self._commits.submit(change)
        except (NotFound, CommandNotFound):
            await self._settle_alone(actor, job, {**job.command, **fields})
        self.wake()

    def follow(self, working: WorkingCopy, message_id: str, reply_id: ObjectId | None) -> None:
        """Decide that the reply continues, if this was the last command that it waited for."""
        # Skipped where the change cannot edit it: the calling change has just edited it.
        carried = working.find(message_id)
        if reply_id is None or carried is None:
            return
        commands = carried.message["commands"]
        if all(proposals.is_settled(each) for each in commands if each["call_id"] is not None):
            self._follow(working, reply_id)

    @staticmethod
    async def _settle_alone(actor: Actor, job: CommandTask, settled: Raw) -> None:
        """Store the result of a command whose message is gone."""
        mine = Command.owned_by(job.access, _id=settled["id"], status=Status.APPROVED.value)
        fields = {"status": settled["status"], "lease_until": None}

        async def store(session: AsyncClientSession) -> None:
            await Command.get_pymongo_collection().update_one(
                mine, {"$set": fields}, session=session
            )
            entry = proposals.entry(actor, Action.COMMAND_EXECUTE, job.conversation_id, settled)
            await AuditEntry.store([entry], session)

        await transaction(store, turn=("command", settled["id"]))

    async def keep(self) -> None:
        """Renew leases, and end commands of ended processes, until cancelled."""
        await run_together(keep_renewing(self._renew, self._contact), self._maintain())

    async def _maintain(self) -> None:
        while True:
            try:
                await self.reap()
            except (PyMongoError, ChatvaultError) as error:
                log.warning("commands_not_looked_after", error=type(error).__name__)
            await asyncio.sleep(REAP_EVERY)

    async def _renew(self) -> None:
        running = {"_id": {"$in": list(self._tasks)}, "status": Status.APPROVED.value}
        await Command.get_pymongo_collection().update_many(running, RENEWED)

    async def reap(self) -> int:
        """End as interrupted the commands whose process has ended; return how many.

        Return 0 if MongoDB was away a moment ago, as leases mean nothing then.
        """
        reaped = 0
        if not self._contact.is_steady:
            return reaped
        dead: Raw = {"status": Status.APPROVED.value, **leases.expired("lease_until")}
        commands = Command.get_pymongo_collection()
        while found := await commands.find_one_and_update(dead, RENEWED):
            if found["_id"] in self._tasks:
                continue
            reaped += 1
            actor = Actor(door=Door.BACKGROUND, user_id=found["user_id"])
            command = {"id": found["_id"], "tool": found["tool"], "decided_by": None, "code": None}
            job = CommandTask(
                actor=actor,
                access=Access.of(actor),
                conversation_id=found["conversation_id"],
                message_id=found["message_id"],
                reply_id=found["reply_id"],
                command=command,
            )
            try:
                await self._settle(job, INTERRUPTED)
            except AlreadySettled:
                pass
            else:
                log.info("command_interrupted", command_id=str(found["_id"]))
        return reaped


RENEWED = leases.extension("lease_until", LEASE_SECONDS)
