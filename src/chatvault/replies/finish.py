"""Finishing a reply: its answer, its tokens and its last events in one transaction."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from pymongo import InsertOne, UpdateOne

from chatvault.access import Access, InsufficientGrant, Need
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.outbox import place
from chatvault.commands import proposals
from chatvault.commands.models import Status
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import DEFAULT_TITLE, TRASHED
from chatvault.conversations.models import Status as ConversationStatus
from chatvault.conversations.parts import Part, ThinkingPart
from chatvault.conversations.reading.wire import message_wire
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.conversations.tree import Link
from chatvault.errors import ChatvaultError, Conflict, NotFound
from chatvault.fields import Raw, now
from chatvault.idempotency import Idempotent
from chatvault.replies.chunks import shown_usage
from chatvault.replies.events import Live
from chatvault.replies.models import Job, JobKind, Kind, Mode, Reply, ReplyDoc, ReplyEvents, State
from chatvault.usage.models import Usage

FAILED = {State.FAILED, State.INTERRUPTED}
# After this many messages without a summary, one is made.
SUMMARY_EVERY = 20


class AlreadyEnded(ChatvaultError):
    """Another process ended this reply, as its own seemed to have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyResult:
    """The result of a reply.

    Attributes:
        reply: its document.
        live: publishes its last events.
        error: the error with which it failed.
        text: the text of the answer.
        thoughts: the model's reasoning.
        calls: the model's tool calls.
        commands: the commands for the calls.
        tokens: input and output tokens.
        counted_here: whether chatvault counted the tokens, as the provider gave no numbers.
        summarize: whether its agent makes summaries.
        offered: the tools that the model was offered, in OpenAI's shape, by name.
        said: events before the last ones, stored with them.
        further: the provider's further fields of the usage.
    """

    actor: Actor
    reply: ReplyDoc
    live: Live
    state: State
    error: ChatvaultError | None = None
    text: str = ""
    thoughts: list[ThinkingPart] = field(default_factory=list)
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

    def message(self, at: datetime) -> MessageDoc | None:
        """Return the answer as it is stored; None if it is empty."""
        parts = self._parts()
        if not self.text and not self.calls and not parts:
            return None
        fields: Raw = {
            "id": self.reply["answer_id"],
            "role": "assistant",
            "content": self.text,
            "parts": parts or None,
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
        stored = {name: value for name, value in fields.items() if value is not None}
        return cast("MessageDoc", stored)

    def _parts(self) -> list[Part]:
        """Return the parts of an answer with reasoning; none for one of only text.

        Reasoning without a text is kept with calls only: the model gets it back with their results.
        """
        thoughts = [each for each in self.thoughts if self.calls or each.get("text")]
        said: list[Part] = [{"type": "text", "text": self.text}] if self.text else []
        return [*thoughts, *said] if thoughts else []


@dataclass(frozen=True, slots=True)
class FinishedReply:
    """The result of `finish`.

    Attributes:
        events: the last events.
        has_jobs: whether there are jobs to do in the background.
        message_id: the answer's id, if it is not empty.
        approved: commands to run now.
    """

    events: list[tuple[str, Raw]]
    has_jobs: bool
    message_id: str | None
    approved: list[Raw]


async def finish(commits: CommitQueue, result: ReplyResult) -> FinishedReply:
    """Store the end of a reply, once.

    Raises:
        AlreadyEnded: another process stored it.
        NotFound: the conversation was deleted.
    """
    reply = result.reply
    target = {
        Mode.REPLACE.value: reply["target_id"],
        Mode.BRANCH.value: reply.get("parent_id"),
    }.get(reply["mode"])
    return await commits.submit(
        Change(
            actor=result.actor,
            access=result.live.access,
            action=Action.REPLY_FINISH,
            where=("_id", reply["conversation_id"]),
            decide=lambda working: _decide(working, result),
            # The answer is there if the conversation is restored.
            sees_trash=True,
            message_ids=frozenset({target} if target else ()),
            needs_tail=target is not None,
            # On the message and in its last event.
            size=estimate(*[_said(result)] * 2, *result.commands),
        )
    )


def _decide(working: WorkingCopy, result: ReplyResult) -> FinishedReply:
    fields, reply, at = working.fields, result.reply, now()
    _check_mine(fields, reply)
    result = _with_current_state(fields, result)
    message = result.message(at)
    stored = None if message is None else _place(working, reply, message, at)
    used = fields.get("total_tokens_used", 0) + sum(result.tokens)
    held = fields.get("reserved_tokens", 0)
    if reply["state"] == State.RUNNING:
        held = max(0, held - reply["reserved"])
    changes: dict[str, Any] = {"total_tokens_used": used, "reserved_tokens": held}
    if reply["kind"] == Kind.REPLY:
        changes |= {"active_reply_id": None, "waiting_reply": None, "stopping_reply_id": None}
    if result.state is State.WAITING and stored is not None:
        message_id = stored.message["id"]
        changes["waiting_reply"] = {"reply_id": reply["_id"], "message_id": message_id}
        proposals.insert(
            working,
            result.actor,
            result.commands,
            seq=stored.seq,
            message_id=message_id,
            reply_id=reply["_id"],
        )
    working.set(at, **changes)
    jobs = _jobs(working, result)
    working.beside += [(Job, job) for job in jobs]
    events = _events(result, stored, used)
    working.beside.append((ReplyEvents, result.live.insertion(events)))
    working.beside.append((Reply, _update(working.access, result, stored, at)))
    if sum(result.tokens):
        working.beside.append((Usage, _usage(result, at)))
    entry = _entry(result)
    if stored is not None and "parent_id" in stored.message:
        entry["details"]["leaf_seq"] = stored.seq
    working.outbox.record(entry, place(stored.seq) if stored else None)
    approved = [each for each in result.commands if each["status"] == Status.APPROVED]
    return FinishedReply(events, bool(jobs), stored.message["id"] if stored else None, approved)


def _said(result: ReplyResult) -> Raw:
    """Return what the model said, as far as its size matters: with parts, a text is twice there."""
    texts = [result.text] * (2 if result.thoughts else 1)
    return {"texts": texts, "thoughts": result.thoughts, "calls": result.calls}


def _check_mine(fields: ConversationDoc, reply: ReplyDoc) -> None:
    if reply["kind"] != Kind.REPLY:
        return
    current = fields.get("active_reply_id")
    if reply["state"] == State.WAITING:
        current = (fields.get("waiting_reply") or {}).get("reply_id")
    if current != reply["_id"]:
        raise AlreadyEnded


def _with_current_state(fields: ConversationDoc, result: ReplyResult) -> ReplyResult:
    """Return the result adapted to the conversation's present state."""
    if result.state is not State.WAITING:
        return result
    if fields.get("stopping_reply_id") == result.reply["_id"]:
        return replace(result, state=State.CANCELLED, commands=[])
    is_idle = fields.get("status") in {ConversationStatus.ARCHIVED, TRASHED}
    if is_idle or not fields.get("mcp_enabled"):
        return replace(result, commands=proposals.without_approval(result.commands))
    return result


def _place(
    working: WorkingCopy, reply: ReplyDoc, message: MessageDoc, at: datetime
) -> StoredMessage:
    """Store the answer: in place of another answer, or at the end."""
    target_id = reply["target_id"]
    if target_id is not None and reply["mode"] == Mode.REPLACE:
        try:
            old = working.locate(target_id)
        except NotFound:
            # The other answer was removed meanwhile, and its id is not reused.
            message["id"] = str(uuid.uuid4())
        else:
            if "alternative_to" in old.message:
                message["alternative_to"] = old.message["alternative_to"]
            return working.replace_message(old, message, at)
    elif target_id is not None and reply["mode"] == Mode.BRANCH:
        message["alternative_to"] = target_id
        parent = working.find(parent_id) if (parent_id := reply.get("parent_id")) else None
        if parent is not None:
            return _branch(working, parent, message, at)
    working.append([message], at, at)
    return working.locate(message["id"])


def _branch(
    working: WorkingCopy, parent: StoredMessage, message: MessageDoc, at: datetime
) -> StoredMessage:
    """Store an alternative answer, with the same parent as the others."""
    first, start = working.fields["first_seq"], working.fields["next_seq"]
    if parent.seq == start - 1:
        working.append([message], at, at, [])
    else:
        message["parent_id"] = parent.message["id"]
        working.append([message], at, at, [Link(start - first, parent.seq - first)])
    return working.locate(message["id"])


def _jobs(working: WorkingCopy, result: ReplyResult) -> list[UpdateOne]:
    """Return the writes of jobs for the background."""
    fields, reply = working.fields, result.reply
    if result.state is State.WAITING and all(map(proposals.is_settled, result.commands)):
        more = {"conversation_id": fields["_id"], "reply_id": reply["_id"]}
        return [Job.insertion_of(working.access, kind=JobKind.CONTINUE, **more)]
    if result.state not in {State.COMPLETED, State.CANCELLED} or reply["kind"] != Kind.REPLY:
        return []
    kinds = []
    if fields["title"] == DEFAULT_TITLE:
        kinds.append(JobKind.TITLE)
    told = max(fields.get("summary_seq", 0), fields["first_seq"])
    if result.summarize and fields["next_seq"] - told >= SUMMARY_EVERY:
        kinds.append(JobKind.SUMMARY)
    where = {"conversation_id": fields["_id"]}
    return [Job.insertion_of(working.access, kind=kind, **where) for kind in kinds]


def _events(result: ReplyResult, stored: StoredMessage | None, used: int) -> list[tuple[str, Raw]]:
    reply = result.reply
    message = None if stored is None else message_wire(stored)
    totals = {"total_tokens_used": sum(result.tokens), "conversation_total_tokens": used}
    ended: Raw = {
        "reply_id": reply["_id"],
        "conversation_id": reply["conversation_id"],
        "state": result.state.value,
        "message": message,
        **totals,
    }
    usage: Raw = {
        "input_tokens": result.tokens[0],
        "output_tokens": result.tokens[1],
        "total_tokens": sum(result.tokens),
        "counted_here": result.counted_here,
    }
    if reply["kind"] == Kind.COMPLETION:
        seconds = result.response_time_ms / 1000
        usage["shown"] = shown_usage(result.tokens, result.further, seconds)
    if result.error is None:
        last = "waiting" if result.state is State.WAITING else "completed"
        return [*result.said, ("usage", usage), (last, ended)]
    ended |= {
        "code": result.error.code,
        "detail": result.error.detail,
        "retry_after": result.error.retry_after,
    }
    used_some = [("usage", usage)] if sum(result.tokens) else []
    return [*result.said, *used_some, ("error", ended)]


def _update(
    access: Access, result: ReplyResult, stored: StoredMessage | None, at: datetime
) -> UpdateOne:
    fields = {
        "state": result.state.value,
        "code": result.error.code if result.error else None,
        "answer_id": stored.message["id"] if stored else result.reply["answer_id"],
        "input_tokens": result.tokens[0],
        "output_tokens": result.tokens[1],
        "ended_at": at,
    }
    # The second of two concurrent ends matches nothing and is dropped.
    mine = Reply.owned_by(access, _id=result.reply["_id"], state=result.reply["state"])
    return UpdateOne(mine, {"$set": fields})


def _usage(result: ReplyResult, at: datetime) -> InsertOne[Raw]:
    reply = result.reply
    return Usage.insertion_of(
        result.actor,
        conversation_id=reply["conversation_id"],
        agent_id=reply["agent_id"],
        purpose=reply["kind"],
        provider=reply["provider"],
        model=reply["model"],
        tokens=result.tokens,
        at=at,
        counted_here=result.counted_here,
    )


def _entry(result: ReplyResult) -> Raw:
    details = {
        "state": result.state.value,
        "reply_id": str(result.reply["_id"]),
        "total_tokens": sum(result.tokens),
    }
    return audit.entry(
        result.actor,
        Action.REPLY_FINISH,
        result.reply["conversation_id"],
        outcome=Outcome.FAILED if result.error else Outcome.SUCCESS,
        code=result.error.code if result.error else None,
        details=details,
    )


def supersede(
    working: WorkingCopy,
    actor: Actor,
    waiting: Raw,
    *,
    state: State = State.SUPERSEDED,
    at: datetime,
) -> None:
    """Decide that the waiting reply ends, and that none of its pending commands can run."""
    proposals.supersede(working, actor, waiting["message_id"], at=at)
    mine = Reply.owned_by(working.access, _id=waiting["reply_id"], state=State.WAITING.value)
    fields = {"state": state.value, "ended_at": at}
    working.beside.append((Reply, UpdateOne(mine, {"$set": fields})))
    working.set(at, waiting_reply=None)


class ReplyChanged(Conflict):
    """The reply has gone on since it was read; read it again."""


def cancel_change(
    actor: Actor, access: Access, reply: ReplyDoc, idempotent: Idempotent[None] | None
) -> Change[None]:
    """Return the change that cancels a reply.

    A waiting reply ends with it. A reply that is being written is marked in the conversation, which
    its writer reads too: so it either ends as cancelled, or has ended before. If it has ended,
    nothing changes. The change raises `ReplyChanged` if the reply now waits on another message.
    """
    conversation_id = reply["conversation_id"]

    def decide(working: WorkingCopy) -> None:
        fields, at = working.fields, now()
        waiting = fields.get("waiting_reply") or {}
        if waiting.get("reply_id") == reply["_id"]:
            if waiting["message_id"] != reply["answer_id"]:
                raise ReplyChanged
            if access.grantee_id is not None:
                # That would reject commands, which only the owner decides about.
                raise InsufficientGrant
            supersede(working, actor, waiting, state=State.CANCELLED, at=at)
        elif reply["state"] in {State.RUNNING, State.WAITING}:
            if fields.get("active_reply_id") == reply["_id"]:
                working.set(at, stopping_reply_id=reply["_id"])
            mine = Reply.owned_by(access, _id=reply["_id"])
            asked = {"$set": {"cancel_requested": True}}
            working.beside.append((Reply, UpdateOne(mine, asked)))
        working.outbox.record(audit.entry(actor, Action.REPLY_CANCEL, conversation_id))

    return Change(
        actor=actor,
        access=access,
        action=Action.REPLY_CANCEL,
        where=("_id", conversation_id),
        decide=decide,
        need=Need.ASK,
        message_ids=frozenset({reply["answer_id"]}),
        needs_tail=True,
        size=estimate(),
        idempotent=idempotent,
    )
