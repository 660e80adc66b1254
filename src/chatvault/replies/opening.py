"""The first message of a conversation: conversation and reply begin in one atomic step."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creating import NewConversation, idempotent, prepare
from chatvault.conversations.models import Raw
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.service import estimate
from chatvault.errors import Busy
from chatvault.idempotency import IdempotencyKey, IdempotencyRecord, Idempotent
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.plan import plan
from chatvault.replies.schemas import ReplyIn
from chatvault.replies.start import StartedReply, begin, output_of, start_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation that has begun, and its first reply; None where it was begun before."""

    conversation_id: ObjectId
    begun: StartedReply | None = None


class FirstReply:
    """What the conversations' door needs to know of replies.

    Args:
        deps: what replies are made with.
    """

    def __init__(self, deps: ReplyDeps) -> None:
        self._desk = deps

    async def open(
        self,
        actor: Actor,
        *,
        wanted: ConversationCreate,
        content: str,
        idempotency_key: IdempotencyKey | None,
    ) -> ObjectId:
        """Begin a conversation whose agent answers this message at once; returns its id.

        What is refused leaves no conversation, and its key is not remembered.

        Raises:
            InvalidInput: the message is too long.
            AgentNotFound: the actor may use no such agent.
            ModelNotConfigured: there is no model.
            Throttled: too many replies in this minute.
            TokenLimitReached: the messages take more tokens than the agent lets a conversation use.
            KeyReused: the key came with another request.
            NotFound: this is a repeat, and the conversation is gone.
        """
        deps = self._desk
        if idempotency_key is not None and await IdempotencyRecord.exists(actor, idempotency_key):
            return (await deps.commits.submit(_replaying(actor, idempotency_key))).conversation_id
        deps.check_content(content, "initial_message")
        agent = await agents.find(actor, wanted.agent_id)
        deps.catalog.find(agent["provider"])
        await deps.rate.admit(str(actor.owner_id))
        new = await prepare(actor, wanted)
        opened = await deps.commits.submit(
            await self._opening(actor, new, content, idempotency_key)
        )
        if opened.begun is not None and opened.begun.run is not None:
            opened.begun.run.live.publish(list(opened.begun.events))
            deps.runner.launch(opened.begun.run)
        return opened.conversation_id

    async def _opening(
        self,
        actor: Actor,
        new: NewConversation,
        content: str,
        idempotency_key: IdempotencyKey | None,
    ) -> Change[Opened]:
        """The change that begins both."""
        deps, conversation = self._desk, new.stored()
        made = await plan(actor, deps, conversation=conversation, wanted=ReplyIn(content=content))
        start = start_of(made, Action.REPLY_CREATE, deps.max_tokens)
        # Nobody else can change what has not begun.
        output = output_of(conversation, start)

        def decide(working: WorkingCopy) -> Opened:
            return Opened(new.insert(working), begin(working, actor, start, output))

        said = {"content": content}
        return Change(
            actor=actor,
            action=Action.CONVERSATION_CREATE,
            where=("_id", new.id),
            decide=decide,
            is_new=True,
            size=estimate(new.document, *new.tail, said, said),
            idempotent=idempotency_key and _idempotent(actor, idempotency_key),
        )


def _replaying(actor: Actor, idempotency_key: IdempotencyKey) -> Change[Opened]:
    """The change that finds out which conversation a repeated request began."""

    def decide(_working: WorkingCopy) -> Opened:
        raise Busy(retry_after=1)  # the record has expired at this very moment

    return Change(
        actor=actor,
        action=Action.CONVERSATION_CREATE,
        where=("_id", ObjectId()),
        decide=decide,
        is_new=True,
        idempotent=_idempotent(actor, idempotency_key),
    )


def _idempotent(actor: Actor, idempotency_key: IdempotencyKey) -> Idempotent[Opened]:
    known = idempotent(actor, idempotency_key)

    async def replay(result: Raw, session: AsyncClientSession) -> Opened:
        return Opened(await known.replay(result, session))

    return Idempotent(
        idempotency_key,
        to_record=lambda opened: known.to_record(opened.conversation_id),
        replay=replay,
    )
