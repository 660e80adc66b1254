"""What can be done with commands: look, approve, reject, and run one at a person's word."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.commands import permissions, proposals, steps
from chatvault.commands.deps import Toolbox
from chatvault.commands.errors import (
    CommandNotFound,
    CommandSettled,
    CommandSuperseded,
    McpNotEnabled,
    ServerUnavailable,
    TooManyCommands,
)
from chatvault.commands.models import Command, DecidedBy, Raw, Status
from chatvault.commands.runner import Job
from chatvault.commands.tools import TERMINAL, command_arguments
from chatvault.conversations.appended import message_lives
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import Draft
from chatvault.conversations.models import Conversation
from chatvault.conversations.models import Status as ConversationStatus
from chatvault.conversations.reading import Placed, find_messages, living, steadily
from chatvault.conversations.service import estimate
from chatvault.errors import Busy, ConversationArchived, NotFound
from chatvault.fields import now
from chatvault.idempotency import IdempotencyRecord, Repeat, Repeatable

MAX_LISTED = 100
MAX_COMMANDS = 32
POLL = 0.2


@dataclass(frozen=True, slots=True)
class Decided:
    """A command after a decision, and whether this process is to run it now."""

    command: Raw
    begins: bool = False

    @property
    def id(self) -> ObjectId:
        """The command's."""
        found: ObjectId = self.command["id"]
        return found


async def list_commands(
    actor: Actor, toolbox: Toolbox, *, conversation_id: ObjectId, status: Status | None
) -> list[Raw]:
    """The newest commands of a conversation, the newest first.

    Raises:
        NotFound: the actor has no such conversation.
    """
    so_far = {} if status is None else {"status": status.value}
    stored = await Command.list_raw(actor, conversation_id, MAX_LISTED, **so_far)
    ids = [each["message_id"] for each in stored]

    async def read(conversation: Raw) -> list[Placed]:
        return living(await find_messages(actor, conversation, ids))

    messages = await steadily(actor, conversation_id, read)
    carried = {
        command["id"]: command for _, each in messages for command in each.get("commands", ())
    }
    # Those of a message that is gone are shown no more.
    shown = [_shown(each, carried[each["_id"]]) for each in stored if each["_id"] in carried]
    entry = audit.entry(
        actor, Action.COMMAND_LIST, conversation_id, details={"commands": len(shown)}
    )
    await toolbox.recorder.record(entry)
    return shown


async def get(
    actor: Actor, toolbox: Toolbox, *, conversation_id: ObjectId, command_id: ObjectId
) -> Raw:
    """One command.

    Raises:
        NotFound: the actor has no such command.
    """
    shown = await read_back(actor, conversation_id=conversation_id, command_id=command_id)
    await toolbox.recorder.record(
        audit.entry(
            actor, Action.COMMAND_GET, conversation_id, details={"command_id": str(command_id)}
        )
    )
    return shown


async def read_back(actor: Actor, *, conversation_id: ObjectId, command_id: ObjectId) -> Raw:
    """One command, as part of another operation.

    Raises:
        NotFound: the actor has no such command.
    """
    stored = await _find(actor, conversation_id, command_id)

    async def read(conversation: Raw) -> list[Placed]:
        return living(await find_messages(actor, conversation, [stored["message_id"]]))

    for _, message in await steadily(actor, conversation_id, read):
        for command in message.get("commands", ()):
            if command["id"] == command_id:
                return _shown(stored, command)
    raise CommandNotFound


def _shown(stored: Raw, command: Raw) -> Raw:
    names = ("conversation_id", "message_id", "reply_id")
    return {**command, **{name: stored[name] for name in names}}


async def _find(actor: Actor, conversation_id: ObjectId, command_id: ObjectId) -> Raw:
    stored = await Command.find_raw(actor, conversation_id, command_id)
    if stored is None:
        raise CommandNotFound
    return stored


async def approve(
    actor: Actor,
    toolbox: Toolbox,
    *,
    conversation_id: ObjectId,
    command_id: ObjectId,
    repeat: Repeat | None = None,
) -> None:
    """Let a command run, once; where it was approved before, nothing happens.

    Raises:
        NotFound: the actor has no such command.
        ToolNotPermitted: the actor may not use its tool.
        CommandSettled: it was rejected, or could never run.
        CommandSuperseded: the conversation has gone on since.
        McpNotEnabled, ConversationArchived: nothing runs in this conversation.
        ServerUnavailable: it could not run now; it stays pending.
    """
    stored = await _find(actor, conversation_id, command_id)
    (await permissions.find(actor)).require(stored["tool"])
    if stored["status"] == Status.PENDING and stored["tool"] not in toolbox.servers.tools:
        raise ServerUnavailable

    def decide(draft: Draft) -> Decided:
        at = now()
        located, command = steps.locate(draft, stored["message_id"], command_id)
        if command["decided_by"] is not None and command["status"] != Status.REJECTED:
            _note_repeat(draft, actor, Action.COMMAND_APPROVE, command)
            return Decided(command)
        if command["status"] != Status.PENDING:
            raise CommandSettled
        _check_runs(draft)
        if not _is_awaited(draft, stored, located.seq):
            raise CommandSuperseded
        fields = proposals.approval(DecidedBy.PERSON, at)
        of = (draft, actor, located, command, Action.COMMAND_APPROVE)
        return Decided(steps.take(*of, at=at, runs=True, **fields), begins=True)

    change = _change(actor, stored, Action.COMMAND_APPROVE, decide, repeat)
    decided = await toolbox.lane.submit(change)
    if decided.begins:
        _launch(actor, toolbox, stored, decided.command)


def _note_repeat(draft: Draft, actor: Actor, action: Action, command: Raw) -> None:
    entry = steps.entry(actor, action, draft.head["_id"], {**command, "status": "repeated"})
    draft.entries.append(entry)


def _is_awaited(draft: Draft, stored: Raw, seq: int) -> bool:
    """Whether a command's reply still waits for it, with nothing said since."""
    if stored["reply_id"] is None:
        return True
    waiting = draft.head.get("waiting_reply") or {}
    is_newest: bool = seq == draft.head["next_seq"] - 1
    return waiting.get("reply_id") == stored["reply_id"] and is_newest


def _check_runs(draft: Draft) -> None:
    if draft.head["status"] == ConversationStatus.ARCHIVED:
        raise ConversationArchived
    if not draft.head.get("mcp_enabled"):
        raise McpNotEnabled


async def reject(
    actor: Actor,
    toolbox: Toolbox,
    *,
    conversation_id: ObjectId,
    command_id: ObjectId,
    repeat: Repeat | None = None,
) -> None:
    """Let a command never run; where it was rejected before, nothing happens.

    Raises:
        NotFound: the actor has no such command.
        CommandSettled: it was approved, or failed.
    """
    stored = await _find(actor, conversation_id, command_id)

    def decide(draft: Draft) -> Decided:
        at = now()
        located, command = steps.locate(draft, stored["message_id"], command_id)
        if command["status"] == Status.REJECTED:
            _note_repeat(draft, actor, Action.COMMAND_REJECT, command)
            return Decided(command)
        if command["status"] != Status.PENDING:
            raise CommandSettled
        decision = {"decided_at": at, "decided_by": DecidedBy.PERSON.value}
        fields: Raw = {"status": Status.REJECTED.value, **decision}
        steps.take(draft, actor, located, command, Action.COMMAND_REJECT, at=at, **fields)
        if _is_awaited(draft, stored, located.seq):
            toolbox.runner.follow(draft, actor, stored["message_id"], stored["reply_id"])
        return Decided(command)

    await toolbox.lane.submit(_change(actor, stored, Action.COMMAND_REJECT, decide, repeat))
    toolbox.runner.wake()


async def execute(
    actor: Actor,
    toolbox: Toolbox,
    *,
    conversation_id: ObjectId,
    message_id: str,
    command: str,
    repeat: Repeat | None = None,
) -> ObjectId:
    """Run a command line with the tool `terminal_command`; returns the command's id.

    Raises:
        NotFound: the actor has no such conversation, or it no such message.
        ToolNotPermitted: the actor may not use the tool.
        Throttled: too many commands in this minute.
        ServerUnavailable: there is no such tool now.
        InvalidCommand: the command line cannot be read.
        McpNotEnabled, ConversationArchived: nothing runs in this conversation.
        TooManyCommands: the message has its share.
    """
    await _require_message(actor, conversation_id, message_id)
    (await permissions.find(actor)).require(TERMINAL)
    if repeat is not None and await IdempotencyRecord.exists(actor, repeat):
        of = {"conversation_id": conversation_id, "message_id": message_id}
        return (await toolbox.lane.submit(_recalling(actor, of, repeat))).id
    await toolbox.rate.admit(str(actor.owner_id))
    tool = toolbox.servers.tools.get(TERMINAL)
    if tool is None:
        raise ServerUnavailable
    arguments = orjson.dumps(command_arguments(tool, command)).decode()
    wanted = proposals.made(tool=TERMINAL, arguments=arguments, call_id=None, at=now())
    wanted |= tool.pin()

    def decide(draft: Draft) -> Decided:
        at = now()
        _check_runs(draft)
        located = draft.locate(message_id)
        others = located.message.get("commands", [])
        if len(others) >= MAX_COMMANDS:
            raise TooManyCommands
        made = wanted | proposals.approval(DecidedBy.PERSON, at)
        draft.annotate(located, {**located.message, "commands": [*others, made]}, at)
        proposals.insert(
            *(draft, actor, [made]),
            message_id=message_id,
            reply_id=None,
            action=Action.COMMAND_EXECUTE_TERMINAL,
        )
        return Decided(made, begins=True)

    stored = {
        "conversation_id": conversation_id,
        "message_id": message_id,
        "reply_id": None,
    }
    change = _change(actor, stored, Action.COMMAND_EXECUTE_TERMINAL, decide, repeat)
    decided = await toolbox.lane.submit(change)
    if decided.begins:
        _launch(actor, toolbox, stored, decided.command)
    return decided.id


def _recalling(actor: Actor, stored: Raw, repeat: Repeat) -> Change[Decided]:
    """The change that finds out which command a repeated request began."""

    def decide(_draft: Draft) -> Decided:
        raise Busy(retry_after=1)  # the record has expired at this very moment

    return _change(actor, stored, Action.COMMAND_EXECUTE_TERMINAL, decide, repeat)


async def _require_message(actor: Actor, conversation_id: ObjectId, message_id: str) -> None:
    async def read(conversation: Raw) -> list[Placed]:
        return living(await find_messages(actor, conversation, [message_id]))

    if await Conversation.find_raw(actor, conversation_id) is None:
        raise NotFound("Conversation not found")
    if not await steadily(actor, conversation_id, read):
        raise NotFound("Message not found")


async def wait(
    actor: Actor, toolbox: Toolbox, *, conversation_id: ObjectId, command_id: ObjectId
) -> Raw:
    """A command once it has ended, whichever process runs it; part of the operation before.

    Raises:
        NotFound: it is gone meanwhile.
    """
    while True:
        is_ours = await toolbox.runner.wait(command_id)
        command = await read_back(actor, conversation_id=conversation_id, command_id=command_id)
        if command["status"] != Status.APPROVED:
            return command
        if not is_ours:
            await asyncio.sleep(POLL)


def _launch(actor: Actor, toolbox: Toolbox, stored: Raw, command: Raw) -> None:
    job = Job(
        actor=actor,
        conversation_id=stored["conversation_id"],
        message_id=stored["message_id"],
        reply_id=stored["reply_id"],
        command=command,
    )
    toolbox.runner.launch(job)


def _change(
    actor: Actor,
    stored: Raw,
    action: Action,
    decide: Callable[[Draft], Decided],
    repeat: Repeat | None,
) -> Change[Decided]:
    conversation_id: ObjectId = stored["conversation_id"]

    async def recall(result: Raw, session: AsyncClientSession) -> Decided:
        head = await Conversation.find_for_repeat(actor, conversation_id, session)
        if head is None:
            raise NotFound("Conversation not found")
        if not await message_lives(actor, head, stored["message_id"], session):
            raise CommandNotFound
        return Decided({"id": result["command_id"]})

    def remember(decided: Decided) -> Raw:
        return {"conversation_id": conversation_id, "command_id": decided.command["id"]}

    return Change(
        actor=actor,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset({stored["message_id"]}),
        needs_tail=True,
        size=estimate(),
        repeatable=repeat and Repeatable(repeat, remember=remember, recall=recall),
    )
