"""Commands for a model's calls, on its message; rules may approve some at once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import InsertOne, UpdateOne

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import Entry
from chatvault.audit.outbox import place
from chatvault.commands import permissions
from chatvault.commands.errors import CommandNotFound
from chatvault.commands.models import Command, CommandDoc, DecidedBy, Status
from chatvault.commands.permissions import Permissions
from chatvault.commands.servers import Servers
from chatvault.commands.tools import Tool, read_arguments
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.shapes import StoredMessage
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.mongodb import leases
from chatvault.mongodb.renewing import LEASE_SECONDS


def is_settled(command: Raw) -> bool:
    """Whether a command has come to its final status."""
    return command["status"] not in {Status.PENDING, Status.APPROVED}


def locate(
    working: WorkingCopy, message_id: str, command_id: ObjectId
) -> tuple[StoredMessage, Raw]:
    """Return a command and the message that carries it.

    Raises:
        CommandNotFound: the message is gone, or does not carry it any more.
    """
    working.check_exists()
    try:
        carrier = working.locate(message_id)
    except NotFound:
        raise CommandNotFound from None
    for command in carrier.message.get("commands", ()):
        if command["id"] == command_id:
            return carrier, command
    raise CommandNotFound


def take(
    working: WorkingCopy,
    actor: Actor,
    carrier: StoredMessage,
    command: Raw,
    action: Action,
    *,
    at: datetime,
    runs: bool = False,
    **fields: Any,
) -> Raw:
    """Decide that a command gets another status; return the changed command.

    Args:
        working: the working copy of its conversation.
        actor: who takes the step.
        carrier: the message that carries it.
        command: the present command.
        action: the action to audit.
        at: the time.
        runs: whether it runs, so that its process renews its lease from now on.
        fields: the changed fields, including the status.
    """
    changed = {**command, **fields}
    commands = [
        changed if each["id"] == command["id"] else each for each in carrier.message["commands"]
    ]
    working.update_in_place(carrier, {**carrier.message, "commands": commands}, at)
    _write(working, actor, action, command, changed, seq=carrier.seq, runs=runs)
    return changed


def _write(
    working: WorkingCopy,
    actor: Actor,
    action: Action,
    before: Raw,
    after: Raw,
    *,
    seq: int,
    runs: bool = False,
) -> None:
    """Decide the write of a command's document, and its audit entry."""
    mine = Command.owned_by(working.access, _id=before["id"], status=before["status"])
    stored: Raw = {"status": after["status"], "lease_until": None}
    written = leases.written(stored, "lease_until", LEASE_SECONDS) if runs else {"$set": stored}
    # The second of two concurrent steps matches nothing, and gives way.
    working.beside.append((Command, UpdateOne(mine, written)))
    working.outbox.record(entry(actor, action, working.fields["_id"], after), place(seq))


def supersede(working: WorkingCopy, actor: Actor, message_id: str, *, at: datetime) -> int:
    """Decide that a message's pending commands cannot be approved any more; return how many."""
    known = working.find(message_id)
    commands = [] if known is None else known.message.get("commands", [])
    pending = [each for each in commands if each["status"] == Status.PENDING]
    if not pending:
        return 0
    # All in one edit: afterwards the message may be where this change cannot edit it again.
    carrier = working.locate(message_id)
    rejected: Raw = {"status": Status.REJECTED.value, "code": "superseded", "decided_at": at}
    changed = {each["id"]: {**each, **rejected} for each in pending}
    settled = [changed.get(each["id"], each) for each in commands]
    working.update_in_place(carrier, {**carrier.message, "commands": settled}, at)
    for each in pending:
        told = changed[each["id"]]
        _write(working, actor, Action.COMMAND_REJECT, each, told, seq=carrier.seq)
    return len(pending)


def entry(actor: Actor, action: Action, conversation_id: ObjectId, command: Raw) -> Entry:
    """Return the audit entry of a step, without arguments and result."""
    details = {
        "command_id": str(command["id"]),
        # Only the name of a known tool; anything else is text of the model's.
        "tool": None if command["code"] == "unknown_tool" else command["tool"],
        "status": str(command["status"]),
        "decided_by": command["decided_by"],
    }
    return audit.entry(
        actor,
        action,
        conversation_id,
        outcome=Outcome.FAILED if command["status"] == Status.FAILED else Outcome.SUCCESS,
        code=command["code"] if command["status"] == Status.FAILED else None,
        details={name: value for name, value in details.items() if value is not None},
    )


MAX_CALLS = 16
REFUSALS = {
    "unknown_tool": "There is no such tool.",
    "invalid_arguments": "The arguments are no JSON object.",
    "too_many_calls": f"An answer may have at most {MAX_CALLS} calls.",
    "tool_not_permitted": "The user may not use this tool.",
    "tool_changed": "The tool has changed since it was offered; call it again if it still fits.",
}


async def catalog(actor: Actor, servers: Servers, *, allowed: Collection[str] | None) -> list[Raw]:
    """Return the tools that a model may be offered in an actor's conversation, in OpenAI's shape.

    Args:
        actor: the user, whose role must be granted a tool.
        servers: the servers, as connected to this process.
        allowed: the tools that the agent may offer; None means all.
    """
    tools = servers.tools.values()
    if not tools:
        return []
    may = await permissions.find(actor)
    return [
        tool.function()
        for tool in tools
        if may.may_use(tool.name) and (allowed is None or tool.name in allowed)
    ]


def propose(
    calls: Sequence[Raw],
    *,
    offered: Mapping[str, Raw],
    tools: Mapping[str, Tool],
    may: Permissions,
    at: datetime,
) -> list[Raw]:
    """Return the commands for a model's calls.

    Args:
        calls: each with `id`, `name` and `arguments`.
        offered: what the model was offered, in OpenAI's shape, by name.
        tools: the present tools, by name.
        may: the permissions of the conversation's owner.
        at: the time.
    """
    commands = []
    for number, call in enumerate(calls):
        name, tool = call["name"], tools.get(call["name"])
        command = made(tool=name, arguments=call["arguments"], call_id=call["id"], at=at)
        code = _fault(number, call, offered, may)
        if code is None and tool is not None and tool.function() == offered[name]:
            command |= tool.pin()
        else:
            code = code or "tool_changed"
            command |= {"status": Status.FAILED.value, "code": code, "result": REFUSALS[code]}
        if code is None and may.is_approved_by_rule(name):
            command |= approval(DecidedBy.RULE, at)
        commands.append(command)
    return commands


def _fault(number: int, call: Raw, offered: Mapping[str, Raw], may: Permissions) -> str | None:
    # Checked first: the name is then text of the model's, which the audit log must not have.
    if call["name"] not in offered:
        return "unknown_tool"
    if number >= MAX_CALLS:
        return "too_many_calls"
    if not may.may_use(call["name"]):
        return "tool_not_permitted"
    return "invalid_arguments" if read_arguments(call["arguments"]) is None else None


def made(*, tool: str, arguments: str, call_id: str | None, at: datetime) -> Raw:
    """Return a new, pending command for its message, not yet for a particular tool."""
    return {
        "id": ObjectId(),
        "call_id": call_id,
        "tool": tool,
        "server": None,
        "tool_hash": None,
        "arguments": arguments,
        "status": Status.PENDING.value,
        "code": None,
        "result": None,
        "truncated": False,
        "created_at": at,
        "decided_at": None,
        "decided_by": None,
        "executed_at": None,
    }


def approval(by: DecidedBy, at: datetime) -> Raw:
    """Return the fields that an approval changes."""
    return {"status": Status.APPROVED.value, "decided_at": at, "decided_by": by.value}


def without_approval(commands: Sequence[Raw]) -> list[Raw]:
    """Return the commands with those that a rule approved pending again: a person has to decide."""
    undecided: Raw = {"status": Status.PENDING.value, "decided_at": None, "decided_by": None}
    return [
        command | undecided if command["status"] == Status.APPROVED else command
        for command in commands
    ]


def insert(
    working: WorkingCopy,
    actor: Actor,
    commands: Sequence[Raw],
    *,
    message_id: str,
    seq: int,
    reply_id: ObjectId | None,
    action: Action = Action.COMMAND_PROPOSE,
) -> None:
    """Decide to insert commands, together with the message that carries them."""
    conversation_id = working.fields["_id"]
    for command in commands:
        document: CommandDoc = {
            "_id": command["id"],
            "user_id": working.access.owner_id,
            "conversation_id": conversation_id,
            "message_id": message_id,
            "reply_id": reply_id,
            "tool": command["tool"],
            "status": command["status"],
            "lease_until": None,
            "created_at": command["created_at"],
        }
        working.beside.append((Command, _insertion(document)))
        working.outbox.record(entry(actor, action, conversation_id, command), place(seq))


def _insertion(document: CommandDoc) -> InsertOne[Any] | UpdateOne:
    """Return the write that stores a command; a running one gets a lease."""
    if document["status"] != Status.APPROVED:
        return InsertOne(document)
    mine = {"_id": document["_id"], "user_id": document["user_id"]}
    return UpdateOne(mine, leases.written(document, "lease_until", LEASE_SECONDS), upsert=True)
