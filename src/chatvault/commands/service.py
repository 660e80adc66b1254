"""Operations on commands: list, approve, reject, and run one for a person."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import orjson
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.commands import permissions, proposals
from chatvault.commands.deps import CommandDeps
from chatvault.commands.errors import (
    CommandNotFound,
    CommandSettled,
    CommandSuperseded,
    McpNotEnabled,
    ServerUnavailable,
    TooManyCommands,
)
from chatvault.commands.models import Command, CommandDoc, CommandPlace, DecidedBy, Status
from chatvault.commands.runner import CommandTask
from chatvault.commands.tools import TERMINAL, command_arguments
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation
from chatvault.conversations.models import Status as ConversationStatus
from chatvault.conversations.presence import has_message
from chatvault.conversations.reading.consistency import not_deleted
from chatvault.conversations.reading.finding import find_message, find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import ConversationArchived, NotFound
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, answer_repeat, was_carried_out

MAX_LISTED = 100
MAX_COMMANDS = 32
POLL = 0.2


@dataclass(frozen=True, slots=True)
class Decided:
    """A command after a decision, and whether this process has to run it now."""

    command: Raw
    begins: bool = False

    @property
    def id(self) -> ObjectId:
        """The command's id."""
        found: ObjectId = self.command["id"]
        return found


async def list_commands(
    actor: Actor, deps: CommandDeps, *, conversation_id: ObjectId, status: Status | None
) -> list[Raw]:
    """Return the newest commands of a conversation, the newest first.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    so_far = {} if status is None else {"status": status.value}
    stored = await Command.list_raw(access, conversation_id, MAX_LISTED, **so_far)
    ids = [each["message_id"] for each in stored]

    async def read(conversation: ConversationDoc) -> list[StoredMessage]:
        return not_deleted(await find_messages(access, deps.store, conversation, ids))

    messages = await read_consistently(access, deps.store, conversation_id, read)
    carried = {
        command["id"]: command for each in messages for command in each.message.get("commands", ())
    }
    # Commands of a deleted message are not shown.
    shown = [_shown(each, carried[each["_id"]]) for each in stored if each["_id"] in carried]
    entry = audit.entry(
        actor, Action.COMMAND_LIST, conversation_id, details={"commands": len(shown)}
    )
    await deps.recorder.record(entry)
    return shown


async def get(
    actor: Actor, deps: CommandDeps, *, conversation_id: ObjectId, command_id: ObjectId
) -> Raw:
    """Return a command.

    Raises:
        NotFound: the actor has no such command.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    shown = await read_back(
        access, deps.store, conversation_id=conversation_id, command_id=command_id
    )
    await deps.recorder.record(
        audit.entry(
            actor, Action.COMMAND_GET, conversation_id, details={"command_id": str(command_id)}
        )
    )
    return shown


async def read_back(
    access: Access, store: MessageStore, *, conversation_id: ObjectId, command_id: ObjectId
) -> Raw:
    """Return a command. Writes no audit entry.

    Raises:
        NotFound: the actor has no such command.
    """
    stored = await _find(access, conversation_id, command_id)
    carrier = await find_message(access, store, conversation_id, stored["message_id"])
    for command in carrier.message.get("commands", ()) if carrier else ():
        if command["id"] == command_id:
            return _shown(stored, command)
    raise CommandNotFound


def _shown(stored: CommandDoc, command: Raw) -> Raw:
    return {
        **command,
        "conversation_id": stored["conversation_id"],
        "message_id": stored["message_id"],
        "reply_id": stored["reply_id"],
    }


async def _find(access: Access, conversation_id: ObjectId, command_id: ObjectId) -> CommandDoc:
    stored = await Command.find_raw(access, conversation_id, command_id)
    if stored is None:
        raise CommandNotFound
    return stored


async def approve(
    actor: Actor,
    deps: CommandDeps,
    *,
    conversation_id: ObjectId,
    command_id: ObjectId,
    idempotency_key: IdempotencyKey | None = None,
    waits: bool = True,
) -> Raw:
    """Approve a command, which runs it once; does nothing if it was approved before.

    Return the command: once it has ended, or at once if `waits` is false.

    Raises:
        NotFound: the actor has no such command.
        ToolNotPermitted: the actor may not use its tool.
        CommandSettled: it was rejected, or could never run.
        CommandSuperseded: the conversation has continued since.
        McpNotEnabled, ConversationArchived: nothing runs in this conversation.
        ServerUnavailable: it could not run now; it stays pending.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    stored = await _find(access, conversation_id, command_id)
    (await permissions.find(actor)).require(stored["tool"])
    if stored["status"] == Status.PENDING and stored["tool"] not in deps.servers.tools:
        raise ServerUnavailable

    def decide(working: WorkingCopy) -> Decided:
        at = now()
        carrier, command = proposals.locate(working, stored["message_id"], command_id)
        if command["decided_by"] is not None and command["status"] != Status.REJECTED:
            _note_repeat(working, actor, Action.COMMAND_APPROVE, carrier, command)
            return Decided(command)
        if command["status"] != Status.PENDING:
            raise CommandSettled
        _check_runs(working)
        if not _is_awaited(working, stored, carrier.seq):
            raise CommandSuperseded
        fields = proposals.approval(DecidedBy.PERSON, at)
        of = (working, actor, carrier, command, Action.COMMAND_APPROVE)
        return Decided(proposals.take(*of, at=at, runs=True, **fields), begins=True)

    change = _change(actor, access, stored, Action.COMMAND_APPROVE, decide, idempotency_key)
    decided = await deps.commits.submit(change)
    if decided.begins:
        _launch(actor, access, deps, stored, decided.command)
    return await _outcome(access, deps, conversation_id, command_id, waits=waits)


async def _outcome(
    access: Access,
    deps: CommandDeps,
    conversation_id: ObjectId,
    command_id: ObjectId,
    *,
    waits: bool,
) -> Raw:
    which = {"conversation_id": conversation_id, "command_id": command_id}
    return await (wait(access, deps, **which) if waits else read_back(access, deps.store, **which))


def _note_repeat(
    working: WorkingCopy, actor: Actor, action: Action, carrier: StoredMessage, command: Raw
) -> None:
    entry = proposals.entry(actor, action, working.fields["_id"], {**command, "status": "repeated"})
    working.outbox.record(entry, place(carrier.seq, is_changed=False))


def _is_awaited(working: WorkingCopy, stored: CommandDoc, seq: int) -> bool:
    """Whether a command's reply still waits for it, with no later message."""
    if stored["reply_id"] is None:
        return True
    waiting = working.fields.get("waiting_reply") or {}
    is_newest: bool = seq - working.fields["first_seq"] == working.path.leaf
    return waiting.get("reply_id") == stored["reply_id"] and is_newest


def _check_runs(working: WorkingCopy) -> None:
    if working.fields["status"] == ConversationStatus.ARCHIVED:
        raise ConversationArchived
    if not working.fields.get("mcp_enabled"):
        raise McpNotEnabled


async def reject(
    actor: Actor,
    deps: CommandDeps,
    *,
    conversation_id: ObjectId,
    command_id: ObjectId,
    idempotency_key: IdempotencyKey | None = None,
) -> Raw:
    """Reject a command, so that it never runs, and return it; a repeat does nothing.

    Raises:
        NotFound: the actor has no such command.
        CommandSettled: it was approved, or failed.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    stored = await _find(access, conversation_id, command_id)

    def decide(working: WorkingCopy) -> Decided:
        at = now()
        carrier, command = proposals.locate(working, stored["message_id"], command_id)
        if command["status"] == Status.REJECTED:
            _note_repeat(working, actor, Action.COMMAND_REJECT, carrier, command)
            return Decided(command)
        if command["status"] != Status.PENDING:
            raise CommandSettled
        decision = {"decided_at": at, "decided_by": DecidedBy.PERSON.value}
        fields: Raw = {"status": Status.REJECTED.value, **decision}
        proposals.take(working, actor, carrier, command, Action.COMMAND_REJECT, at=at, **fields)
        if _is_awaited(working, stored, carrier.seq):
            deps.runner.follow(working, stored["message_id"], stored["reply_id"])
        return Decided(command)

    await deps.commits.submit(
        _change(actor, access, stored, Action.COMMAND_REJECT, decide, idempotency_key)
    )
    deps.runner.wake()
    which = {"conversation_id": conversation_id, "command_id": command_id}
    return await read_back(access, deps.store, **which)


async def execute(
    actor: Actor,
    deps: CommandDeps,
    *,
    conversation_id: ObjectId,
    message_id: str,
    command: str,
    idempotency_key: IdempotencyKey | None = None,
    waits: bool = True,
) -> Raw:
    """Run a command line with the tool `terminal_command`.

    Return the command: once it has ended, or at once if `waits` is false.

    Raises:
        NotFound: the actor has no such conversation, or it has no such message.
        ToolNotPermitted: the actor may not use the tool.
        Throttled: too many commands in this minute.
        ServerUnavailable: there is no such tool now.
        InvalidCommand: the command line cannot be read.
        McpNotEnabled, ConversationArchived: nothing runs in this conversation.
        TooManyCommands: the message has as many as one may have.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await _require_message(access, deps.store, conversation_id, message_id)
    (await permissions.find(actor)).require(TERMINAL)
    place = CommandPlace(conversation_id=conversation_id, message_id=message_id, reply_id=None)
    if idempotency_key is not None and await was_carried_out(actor, idempotency_key):
        known = _idempotent(access, place, idempotency_key)
        first = await answer_repeat(actor, Action.COMMAND_EXECUTE_TERMINAL, known)
        return await _outcome(access, deps, conversation_id, first.id, waits=waits)
    await deps.rate.admit(str(actor.owner_id))
    tool = deps.servers.tools.get(TERMINAL)
    if tool is None:
        raise ServerUnavailable
    arguments = orjson.dumps(command_arguments(tool, command)).decode()
    wanted = proposals.made(tool=TERMINAL, arguments=arguments, call_id=None, at=now())
    wanted |= tool.pin()

    def decide(working: WorkingCopy) -> Decided:
        at = now()
        _check_runs(working)
        carrier = working.locate(message_id)
        others = carrier.message.get("commands", [])
        if len(others) >= MAX_COMMANDS:
            raise TooManyCommands
        made = wanted | proposals.approval(DecidedBy.PERSON, at)
        working.update_in_place(carrier, {**carrier.message, "commands": [*others, made]}, at)
        proposals.insert(
            *(working, actor, [made]),
            message_id=message_id,
            seq=carrier.seq,
            reply_id=None,
            action=Action.COMMAND_EXECUTE_TERMINAL,
        )
        return Decided(made, begins=True)

    change = _change(actor, access, place, Action.COMMAND_EXECUTE_TERMINAL, decide, idempotency_key)
    decided = await deps.commits.submit(change)
    if decided.begins:
        _launch(actor, access, deps, place, decided.command)
    return await _outcome(access, deps, conversation_id, decided.id, waits=waits)


async def _require_message(
    access: Access, store: MessageStore, conversation_id: ObjectId, message_id: str
) -> None:
    if await find_message(access, store, conversation_id, message_id) is None:
        raise NotFound("Message not found")


async def wait(
    access: Access, deps: CommandDeps, *, conversation_id: ObjectId, command_id: ObjectId
) -> Raw:
    """Wait until a command has ended, whichever process runs it. Writes no audit entry.

    Raises:
        NotFound: it was removed meanwhile.
    """
    while True:
        is_ours = await deps.runner.wait(command_id)
        command = await read_back(
            access, deps.store, conversation_id=conversation_id, command_id=command_id
        )
        if command["status"] != Status.APPROVED:
            return command
        if not is_ours:
            await asyncio.sleep(POLL)


def _launch(
    actor: Actor, access: Access, deps: CommandDeps, stored: CommandPlace, command: Raw
) -> None:
    job = CommandTask(
        actor=actor,
        access=access,
        conversation_id=stored["conversation_id"],
        message_id=stored["message_id"],
        reply_id=stored["reply_id"],
        command=command,
    )
    deps.runner.launch(job)


def _change(
    actor: Actor,
    access: Access,
    stored: CommandPlace,
    action: Action,
    decide: Callable[[WorkingCopy], Decided],
    idempotency_key: IdempotencyKey | None,
) -> Change[Decided]:
    return Change(
        actor=actor,
        access=access,
        action=action,
        where=("_id", stored["conversation_id"]),
        decide=decide,
        message_ids=frozenset({stored["message_id"]}),
        needs_tail=True,
        size=estimate(),
        idempotent=idempotency_key and _idempotent(access, stored, idempotency_key),
    )


def _idempotent(
    access: Access, stored: CommandPlace, idempotency_key: IdempotencyKey
) -> Idempotent[Decided]:
    conversation_id = stored["conversation_id"]

    async def find(command_id: ObjectId, session: AsyncClientSession) -> Decided:
        fields = await Conversation.get_for_repeat(access, conversation_id, session)
        if not await has_message(session, access, fields, stored["message_id"]):
            raise CommandNotFound
        return Decided({"id": command_id})

    return Idempotent.by_id(
        idempotency_key,
        "command_id",
        id_of=attrgetter("id"),
        find=find,
        conversation_id=conversation_id,
    )
