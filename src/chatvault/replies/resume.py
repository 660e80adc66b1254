"""Resume a reply once all commands that it waited for are settled."""

import contextlib
from typing import cast

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit.actions import Action
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Status
from chatvault.conversations.reading.consistency import ReadConflict
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import Busy, ChatvaultError, ConversationArchived, NotFound
from chatvault.fields import Raw
from chatvault.replies import events
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.errors import HALTS, NotContinued, ReplyInProgress, TooManyRounds
from chatvault.replies.events import Live
from chatvault.replies.finish import AlreadyEnded, ReplyResult, finish
from chatvault.replies.models import Job, JobKind, Reply, ReplyDoc, State
from chatvault.replies.plan import Turn, prepare
from chatvault.replies.start import ReplyPlan, Stale, start_change, to_reply_plan

MAX_ROUNDS = 10
ATTEMPTS = 5


def request(working: WorkingCopy, reply_id: ObjectId) -> None:
    """Decide that a reply is to be resumed, by any process, also after a crash."""
    job = Job.insertion_of(
        working.access,
        conversation_id=working.fields["_id"],
        kind=JobKind.CONTINUE,
        reply_id=reply_id,
    )
    working.beside.append((Job, job))


async def work(deps: ReplyDeps, actor: Actor, job: Raw) -> None:
    """Do the job that `request` stored."""
    which = {"conversation_id": job["conversation_id"], "reply_id": job["reply_id"]}
    await continue_reply(actor, deps, **which)


async def give_up(deps: ReplyDeps, actor: Actor, job: Raw) -> None:
    """End the reply of a job that failed too often, as it would wait without a limit."""
    conversation_id, reply_id = job["conversation_id"], job["reply_id"]
    access = await resolve(actor, conversation_id, Need.WRITE)
    reply = await Reply.find_raw(access, conversation_id, reply_id)
    if reply is not None and reply["state"] == State.WAITING:
        live = await _read_live(access, conversation_id, reply_id)
        await _halt(actor, deps, reply, live, NotContinued())


async def continue_reply(
    actor: Actor, deps: ReplyDeps, *, conversation_id: ObjectId, reply_id: ObjectId
) -> None:
    """Call the model again with the results; do nothing if the reply no longer waits.

    Raises:
        NotFound: the conversation was deleted.
        Busy: the conversation kept changing.
    """
    access = await resolve(actor, conversation_id, Need.WRITE)
    for _ in range(ATTEMPTS):
        reply = await Reply.find_raw(access, conversation_id, reply_id)
        conversation = await deps.store.get_conversation(access, conversation_id)
        waiting = conversation.get("waiting_reply") or {}
        if reply is None or waiting.get("reply_id") != reply_id:
            return
        if reply["state"] != State.WAITING or conversation.get("active_reply_id"):
            return
        live = await _read_live(access, conversation_id, reply_id)
        try:
            reply_plan = await _plan(actor, deps, conversation, reply, live)
            started = await deps.commits.submit(start_change(actor, access, reply_plan, None))
        except (ReadConflict, Stale):
            continue
        except ReplyInProgress:
            return
        except HALTS as error:
            await _halt(actor, deps, reply, live, error)
            return
        if started.task is not None:
            live.publish(list(started.events))
            deps.runner.launch(started.task)
        return
    raise Busy(retry_after=1)


async def _read_live(access: Access, conversation_id: ObjectId, reply_id: ObjectId) -> Live:
    live = Live(access, conversation_id, reply_id)
    live.publish([(event.type, event.data) for event in await events.read(access, reply_id)])
    return live


async def _plan(
    actor: Actor, deps: ReplyDeps, conversation: ConversationDoc, reply: ReplyDoc, live: Live
) -> ReplyPlan:
    rounds = reply.get("rounds", 1)
    if rounds >= MAX_ROUNDS:
        raise TooManyRounds
    if conversation["status"] == Status.ARCHIVED:
        raise ConversationArchived
    made = await prepare(
        actor,
        live.access,
        deps,
        conversation=conversation,
        agent=await agents.find(actor, reply["agent_id"]),
        # The question, and an answer with calls for each round.
        turn=Turn(
            content=None,
            user_message_id=cast(
                "str", reply["user_message_id"]
            ),  # the limit of a reply, not of a completion
            least=rounds + 1,
        ),
    )
    return to_reply_plan(made, Action.REPLY_CONTINUE, deps.max_tokens, continues=reply, live=live)


async def _halt(
    actor: Actor, deps: ReplyDeps, reply: ReplyDoc, live: Live, error: ChatvaultError
) -> None:
    """End a waiting reply that cannot be resumed, and publish the reason."""
    result = ReplyResult(actor=actor, reply=reply, live=live, state=State.FAILED, error=error)
    with contextlib.suppress(AlreadyEnded, NotFound):
        await finish(deps.commits, result)
