"""The first message of a conversation: conversation and reply begin in one atomic step."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit.actions import Action
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import Draft
from chatvault.conversations.creating import NewConversation, prepare, repeatable
from chatvault.conversations.models import Raw
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.service import estimate
from chatvault.errors import Busy
from chatvault.idempotency import IdempotencyRecord, Repeat, Repeatable
from chatvault.replies.deps import Desk
from chatvault.replies.plan import plan
from chatvault.replies.schemas import ReplyIn
from chatvault.replies.start import Begun, begin, output_of, start_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation that has begun, and its first reply; None where it was begun before."""

    conversation_id: ObjectId
    begun: Begun | None = None


class FirstReply:
    """What the conversations' door needs to know of replies.

    Args:
        desk: what replies are made with.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def open(
        self, actor: Actor, *, wanted: ConversationCreate, content: str, repeat: Repeat | None
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
        desk = self._desk
        if repeat is not None and await IdempotencyRecord.exists(actor, repeat):
            return (await desk.lane.submit(_recalling(actor, repeat))).conversation_id
        desk.check_content(content, "initial_message")
        agent = await agents.find(actor, wanted.agent_id)
        desk.offer.find(agent["provider"])
        await desk.rate.admit(str(actor.owner_id))
        new = await prepare(actor, wanted)
        opened = await desk.lane.submit(await self._opening(actor, new, content, repeat))
        if opened.begun is not None and opened.begun.run is not None:
            opened.begun.run.live.publish(list(opened.begun.events))
            desk.runner.launch(opened.begun.run)
        return opened.conversation_id

    async def _opening(
        self, actor: Actor, new: NewConversation, content: str, repeat: Repeat | None
    ) -> Change[Opened]:
        """The change that begins both."""
        desk, conversation = self._desk, new.stored()
        made = await plan(actor, desk, conversation=conversation, wanted=ReplyIn(content=content))
        start = start_of(made, Action.REPLY_CREATE, desk.max_tokens)
        # Nobody else can change what has not begun.
        output = output_of(conversation, start)

        def decide(draft: Draft) -> Opened:
            return Opened(new.insert(draft), begin(draft, actor, start, output))

        said = {"content": content}
        return Change(
            actor=actor,
            action=Action.CONVERSATION_CREATE,
            where=("_id", new.id),
            decide=decide,
            is_new=True,
            size=estimate(new.document, *new.tail, said, said),
            repeatable=repeat and _repeatable(actor, repeat),
        )


def _recalling(actor: Actor, repeat: Repeat) -> Change[Opened]:
    """The change that finds out which conversation a repeated request began."""

    def decide(_draft: Draft) -> Opened:
        raise Busy(retry_after=1)  # the record has expired at this very moment

    return Change(
        actor=actor,
        action=Action.CONVERSATION_CREATE,
        where=("_id", ObjectId()),
        decide=decide,
        is_new=True,
        repeatable=_repeatable(actor, repeat),
    )


def _repeatable(actor: Actor, repeat: Repeat) -> Repeatable[Opened]:
    known = repeatable(actor, repeat)

    async def recall(result: Raw, session: AsyncClientSession) -> Opened:
        return Opened(await known.recall(result, session))

    return Repeatable(
        repeat, remember=lambda opened: known.remember(opened.conversation_id), recall=recall
    )
