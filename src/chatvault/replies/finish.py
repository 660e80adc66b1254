"""How a reply ends: its answer, its tokens and its last events in one transaction."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pymongo import InsertOne, UpdateOne

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.commands import proposals, steps
from chatvault.commands.models import Status
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import Located, WorkingCopy
from chatvault.conversations.models import DEFAULT_TITLE
from chatvault.conversations.models import Status as ConversationStatus
from chatvault.conversations.service import estimate
from chatvault.conversations.wire import message_wire
from chatvault.errors import ChatvaultError, NotFound
from chatvault.fields import now
from chatvault.replies.chunks import shown_usage
from chatvault.replies.events import Live
from chatvault.replies.models import Job, JobKind, Kind, Mode, Raw, Reply, ReplyEvents, State
from chatvault.usage.models import Usage

FAILED = {State.FAILED, State.INTERRUPTED}
# After so many messages that no summary tells of, one is made.
SUMMARY_EVERY = 20


class AlreadyEnded(ChatvaultError):
    """Another process ended this reply, as its own seemed to have died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyResult:
    """What became of a reply.

    Attributes:
        reply: its document.
        live: takes its last events.
        error: why it failed.
        text: what was said.
        calls: what the model wants done.
        commands: what becomes of the calls.
        tokens: input and output.
        counted_here: the provider gave no numbers.
        summarize: its agent wants summaries.
        offered: the tools that the model was offered, in OpenAI's shape, by name.
        said: events that come before the last ones, and are stored with them.
        further: what the provider told of its usage beside the tokens.
    """

    actor: Actor
    reply: Raw
    live: Live
    state: State
    error: ChatvaultError | None = None
    text: str = ""
    calls: list[Raw] = field(default_factory=list)
    commands: list[Raw] = field(default_factory=list)
    finish_reason: str | None = None
    tokens: tuple[int, int] = (0, 0)
    counted_here: bool = False
    response_time_ms: int = 0
    summarize: bool = False
    offered: Mapping[str, Raw] = field(default_factory=dict)
    said: list[tuple[str, Raw]] = field(default_factory=list)
    further: Raw = field(default_factory=dict)

    def message(self, at: datetime) -> Raw | None:
        """The answer as it is stored; None where nothing was said."""
        if not self.text and not self.calls:
            return None
        fields: Raw = {
            "id": self.reply["answer_id"],
            "role": "assistant",
            "content": self.text,
            "timestamp": at,
            "model": self.reply["model"],
            "reply_id": self.reply["_id"],
            "model_used": self.reply["model"],
            "llm_provider": self.reply["provider"],
            "temperature": self.reply["temperature"],
            "input_tokens": self.tokens[0],
            "output_tokens": self.tokens[1],
            "total_tokens": sum(self.tokens),
            "response_time_ms": self.response_time_ms,
            "finish_reason": self.finish_reason,
            "tool_calls": self.calls or None,
            "commands": self.commands or None,
            "cancelled": True if self.state is State.CANCELLED else None,
            "interrupted": True if self.state in FAILED else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class FinishedReply:
    """What was stored.

    Attributes:
        events: the last ones.
        has_jobs: something is to be done in the background.
        message_id: the answer's, where something was said.
        approved: commands that are to run now.
    """

    events: list[tuple[str, Raw]]
    has_jobs: bool
    message_id: str | None
    approved: list[Raw]


async def finish(commits: CommitQueue, ending: ReplyResult) -> FinishedReply:
    """Store how the reply ended, once.

    Raises:
        AlreadyEnded: another process did.
        NotFound: the conversation is gone.
    """
    reply = ending.reply
    target = reply["target_id"] if reply["mode"] == Mode.REPLACE else None
    return await commits.submit(
        Change(
            actor=ending.actor,
            action=Action.REPLY_FINISH,
            where=("_id", reply["conversation_id"]),
            decide=lambda working: _decide(working, ending),
            message_ids=frozenset({target} if target else ()),
            needs_tail=target is not None,
            # On the message and in its last event.
            size=estimate(*[{"text": ending.text, "calls": ending.calls}] * 2, *ending.commands),
        )
    )


def _decide(working: WorkingCopy, ending: ReplyResult) -> FinishedReply:
    fields, reply, at = working.fields, ending.reply, now()
    _check_mine(fields, reply)
    ending = _as_things_stand(fields, ending)
    message = ending.message(at)
    located = None if message is None else _place(working, reply, message, at)
    used = fields.get("total_tokens_used", 0) + sum(ending.tokens)
    held = fields.get("reserved_tokens", 0)
    if reply["state"] == State.RUNNING:
        held = max(0, held - reply["reserved"])
    changes: dict[str, Any] = {"total_tokens_used": used, "reserved_tokens": held}
    if reply["kind"] == Kind.REPLY:
        changes |= {"active_reply_id": None, "waiting_reply": None, "stopping_reply_id": None}
    if ending.state is State.WAITING:
        assert located is not None  # noqa: S101  # it has calls
        message_id = located.message["id"]
        changes["waiting_reply"] = {"reply_id": reply["_id"], "message_id": message_id}
        of = {"message_id": message_id, "reply_id": reply["_id"]}
        proposals.insert(working, ending.actor, ending.commands, **of)
    working.set(at, **changes)
    jobs = _jobs(working, ending)
    working.beside += [(Job, job) for job in jobs]
    events = _events(ending, located, used)
    working.beside.append((ReplyEvents, ending.live.insertion(events)))
    working.beside.append((Reply, _update(ending, located, at)))
    if sum(ending.tokens):
        working.beside.append((Usage, _usage(ending, at)))
    working.entries.append(_entry(ending))
    approved = [each for each in ending.commands if each["status"] == Status.APPROVED]
    return FinishedReply(events, bool(jobs), located.message["id"] if located else None, approved)


def _check_mine(fields: Raw, reply: Raw) -> None:
    if reply["kind"] != Kind.REPLY:
        return
    current = fields.get("active_reply_id")
    if reply["state"] == State.WAITING:
        current = (fields.get("waiting_reply") or {}).get("reply_id")
    if current != reply["_id"]:
        raise AlreadyEnded


def _as_things_stand(fields: Raw, ending: ReplyResult) -> ReplyResult:
    """The ending by what the conversation says now, which may be more than its writer knew."""
    if ending.state is not State.WAITING:
        return ending
    if fields.get("stopping_reply_id") == ending.reply["_id"]:
        return replace(ending, state=State.CANCELLED, commands=[])
    if fields["status"] == ConversationStatus.ARCHIVED or not fields.get("mcp_enabled"):
        return replace(ending, commands=proposals.without_approval(ending.commands))
    return ending


def _place(working: WorkingCopy, reply: Raw, message: Raw, at: datetime) -> Located:
    """Put the answer where it belongs: in another one's place, or at the end."""
    if reply["mode"] == Mode.REPLACE:
        try:
            old = working.locate(reply["target_id"])
        except NotFound:
            # It was removed meanwhile, and its id stays taken.
            message["id"] = str(uuid.uuid4())
        else:
            if "alternative_to" in old.message:
                message["alternative_to"] = old.message["alternative_to"]
            return working.replace_message(old, message, at)
    elif reply["mode"] == Mode.BRANCH:
        message["alternative_to"] = reply["target_id"]
    working.append([message], at, at)
    found = working.find(message["id"])
    assert found is not None  # noqa: S101  # it was just appended
    return found


def _jobs(working: WorkingCopy, ending: ReplyResult) -> list[UpdateOne]:
    """What is to be done in the background now."""
    fields, reply = working.fields, ending.reply
    if ending.state is State.WAITING and all(map(steps.is_settled, ending.commands)):
        more = {"conversation_id": fields["_id"], "reply_id": reply["_id"]}
        return [Job.insertion_of(ending.actor, kind=JobKind.CONTINUE, **more)]
    if ending.state not in {State.COMPLETED, State.CANCELLED} or reply["kind"] != Kind.REPLY:
        return []
    kinds = []
    if fields["title"] == DEFAULT_TITLE:
        kinds.append(JobKind.TITLE)
    told = max(fields.get("summary_seq", 0), fields["first_seq"])
    if ending.summarize and fields["next_seq"] - told >= SUMMARY_EVERY:
        kinds.append(JobKind.SUMMARY)
    where = {"conversation_id": fields["_id"]}
    return [Job.insertion_of(ending.actor, kind=kind, **where) for kind in kinds]


def _events(ending: ReplyResult, located: Located | None, used: int) -> list[tuple[str, Raw]]:
    reply = ending.reply
    message = None if located is None else message_wire((located.seq, located.message))
    totals = {"total_tokens_used": sum(ending.tokens), "conversation_total_tokens": used}
    ended: Raw = {
        "reply_id": reply["_id"],
        "conversation_id": reply["conversation_id"],
        "state": ending.state.value,
        "message": message,
        **totals,
    }
    usage: Raw = {
        "input_tokens": ending.tokens[0],
        "output_tokens": ending.tokens[1],
        "total_tokens": sum(ending.tokens),
        "counted_here": ending.counted_here,
    }
    if reply["kind"] == Kind.COMPLETION:
        seconds = ending.response_time_ms / 1000
        usage["shown"] = shown_usage(ending.tokens, ending.further, seconds)
    if ending.error is None:
        last = "waiting" if ending.state is State.WAITING else "completed"
        return [*ending.said, ("usage", usage), (last, ended)]
    ended |= {
        "code": ending.error.code,
        "detail": ending.error.detail,
        "retry_after": ending.error.retry_after,
    }
    used_some = [("usage", usage)] if sum(ending.tokens) else []
    return [*ending.said, *used_some, ("error", ended)]


def _update(ending: ReplyResult, located: Located | None, at: datetime) -> UpdateOne:
    fields = {
        "state": ending.state.value,
        "code": ending.error.code if ending.error else None,
        "answer_id": located.message["id"] if located else ending.reply["answer_id"],
        "input_tokens": ending.tokens[0],
        "output_tokens": ending.tokens[1],
        "ended_at": at,
    }
    # Who comes second hits none, and gives way.
    mine = {"_id": ending.reply["_id"], "user_id": ending.actor.owner_id}
    return UpdateOne({**mine, "state": ending.reply["state"]}, {"$set": fields})


def _usage(ending: ReplyResult, at: datetime) -> InsertOne[Raw]:
    reply = ending.reply
    return Usage.insertion_of(
        ending.actor,
        conversation_id=reply["conversation_id"],
        agent_id=reply["agent_id"],
        purpose=reply["kind"],
        provider=reply["provider"],
        model=reply["model"],
        tokens=ending.tokens,
        at=at,
        counted_here=ending.counted_here,
    )


def _entry(ending: ReplyResult) -> Raw:
    details = {
        "state": ending.state.value,
        "reply_id": str(ending.reply["_id"]),
        "total_tokens": sum(ending.tokens),
    }
    return audit.entry(
        ending.actor,
        Action.REPLY_FINISH,
        ending.reply["conversation_id"],
        outcome=Outcome.FAILED if ending.error else Outcome.SUCCESS,
        code=ending.error.code if ending.error else None,
        details=details,
    )
