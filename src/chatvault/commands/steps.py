"""A command's steps, each written on its message, in its document and in the audit log at once."""

from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import Entry
from chatvault.commands.errors import CommandNotFound
from chatvault.commands.models import Command, Raw, Status
from chatvault.conversations.commits.working_copy import Located, WorkingCopy
from chatvault.errors import NotFound
from chatvault.mongodb import leases
from chatvault.mongodb.renewing import LEASE_SECONDS


def is_settled(command: Raw) -> bool:
    """Whether a command waits for nothing."""
    return command["status"] not in {Status.PENDING, Status.APPROVED}


def locate(working: WorkingCopy, message_id: str, command_id: ObjectId) -> tuple[Located, Raw]:
    """A command and the message that carries it.

    Raises:
        CommandNotFound: the message is gone, or carries it no more.
    """
    assert working.fields  # noqa: S101  # raises NotFound
    try:
        located = working.locate(message_id)
    except NotFound:
        raise CommandNotFound from None
    for command in located.message.get("commands", ()):
        if command["id"] == command_id:
            return located, command
    raise CommandNotFound


def take(
    working: WorkingCopy,
    actor: Actor,
    located: Located,
    command: Raw,
    action: Action,
    *,
    at: datetime,
    runs: bool = False,
    **fields: Any,
) -> Raw:
    """Decide that a command goes a step further; returns it as it is then.

    Args:
        working: of its conversation.
        actor: whose it is.
        located: the message that carries it, as it is now.
        command: as it is now.
        action: the step's name in the audit log.
        at: when.
        runs: its process has to say from now on that it lives.
        fields: what changes, its status among them.
    """
    changed = {**command, **fields}
    commands = [
        changed if each["id"] == command["id"] else each for each in located.message["commands"]
    ]
    working.update_in_place(located, {**located.message, "commands": commands}, at)
    _write(working, actor, action, command, changed, runs=runs)
    return changed


def _write(
    working: WorkingCopy,
    actor: Actor,
    action: Action,
    before: Raw,
    after: Raw,
    *,
    runs: bool = False,
) -> None:
    """Decide what becomes of a command's document, and its entry."""
    mine = {"_id": before["id"], "user_id": actor.owner_id, "status": before["status"]}
    stored: Raw = {"status": after["status"], "lease_until": None}
    written = leases.written(stored, "lease_until", LEASE_SECONDS) if runs else {"$set": stored}
    # Who comes second hits none, and gives way.
    working.beside.append((Command, UpdateOne(mine, written)))
    working.entries.append(entry(actor, action, working.fields["_id"], after))


def supersede(working: WorkingCopy, actor: Actor, message_id: str, *, at: datetime) -> int:
    """Decide that no pending command of a message can be approved any more; returns how many."""
    known = working.find(message_id)
    commands = [] if known is None else known.message.get("commands", [])
    pending = [each for each in commands if each["status"] == Status.PENDING]
    if not pending:
        return 0
    # All in one edit: after that the message may be where this change cannot edit it again.
    located = working.locate(message_id)
    rejected: Raw = {"status": Status.REJECTED.value, "code": "superseded", "decided_at": at}
    changed = {each["id"]: {**each, **rejected} for each in pending}
    told = [changed.get(each["id"], each) for each in commands]
    working.update_in_place(located, {**located.message, "commands": told}, at)
    for each in pending:
        _write(working, actor, Action.COMMAND_REJECT, each, changed[each["id"]])
    return len(pending)


def entry(actor: Actor, action: Action, conversation_id: ObjectId, command: Raw) -> Entry:
    """The audit entry of a step, without what was asked and what was answered."""
    details = {
        "command_id": str(command["id"]),
        # What is no tool of ours is a model's own words.
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
