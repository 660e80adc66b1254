"""The first message of a conversation, sent to its agent at once."""

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.idempotency import IdempotencyRecord, Repeat
from chatvault.replies import service
from chatvault.replies.desk import Desk
from chatvault.replies.schemas import ReplyIn


class FirstReply:
    """What the conversations' door needs to know of replies.

    Args:
        desk: what replies are made with.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def check(
        self, actor: Actor, agent_id: ObjectId | None, content: str, repeat: Repeat | None
    ) -> None:
        """Refuse what could not be sent, before the conversation begins; a repeat has passed.

        Raises:
            InvalidInput: the message is too long.
            AgentNotFound: the actor may use no such agent.
            ModelNotConfigured: there is no model.
        """
        if repeat is not None and await IdempotencyRecord.exists(actor, repeat):
            return
        self._desk.check_content(content, "initial_message")
        agent = await agents.find(actor, agent_id)
        self._desk.offer.find(agent["provider"])

    async def send(
        self, actor: Actor, conversation_id: ObjectId, content: str, repeat: Repeat | None
    ) -> None:
        """Store the message, and let the agent begin to answer; once, however often asked."""
        known = repeat and repeat._replace(route=f"{repeat.route}#initial_message")
        await service.create(
            actor,
            self._desk,
            conversation_id=conversation_id,
            wanted=ReplyIn(content=content),
            repeat=known,
        )
