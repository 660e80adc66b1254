"""What became of an append, and how a repeat of the request is told the same."""

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation, Raw
from chatvault.conversations.reading import Placed, find_messages, living
from chatvault.conversations.segments import Segment
from chatvault.errors import NotFound
from chatvault.idempotency import IdempotencyKey, Idempotent


class MessageGone(NotFound):
    """The message was stored, and is gone since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of an append.

    Attributes:
        messages: as they are stored, with their places; in a repeat, those that still live.
        repeated: how many of them were there already.
    """

    messages: list[Placed]
    repeated: int
    total_messages: int
    version: int
    updated_at: datetime


def appended(working: WorkingCopy, ids: list[str], repeated: int) -> Appended:
    """The answer to a change that the draft has taken in."""
    fields = working.fields
    located = [found for message_id in ids if (found := working.find(message_id))]
    return Appended(
        messages=[(each.seq, each.message) for each in located],
        repeated=repeated,
        total_messages=fields["total_messages"],
        version=fields["version"],
        updated_at=fields["updated_at"],
    )


def idempotent_append(
    actor: Actor,
    idempotency_key: IdempotencyKey | None,
    conversation_id: ObjectId,
    *,
    shows_message: bool,
) -> Idempotent[Appended] | None:
    """How the answer is given again.

    Args:
        actor: whose conversation it is.
        idempotency_key: the request's key, if it has one.
        conversation_id: which conversation.
        shows_message: the answer is the one message, so there is none where it is gone.
    """
    if idempotency_key is None:
        return None

    async def replay(result: Raw, session: AsyncClientSession) -> Appended:
        conversation = await Conversation.find_for_repeat(
            actor, conversation_id, session, with_messages=True
        )
        if conversation is None:
            raise NotFound("Conversation not found")
        # Read here, so that what is answered and what is recorded are the same.
        found = await find_messages(actor, conversation, result["message_ids"], session)
        if shows_message and not living(found[:1]):
            raise MessageGone
        return Appended(
            messages=living(found),
            repeated=result["repeated"],
            total_messages=result["total_messages"],
            version=result["version"],
            updated_at=result["updated_at"],
        )

    return Idempotent(
        idempotency_key,
        to_record=lambda answer: {
            "conversation_id": conversation_id,
            "message_ids": [message["id"] for _, message in answer.messages],
            "repeated": answer.repeated,
            "total_messages": answer.total_messages,
            "version": answer.version,
            "updated_at": answer.updated_at,
        },
        replay=replay,
    )


async def message_lives(
    actor: Actor, fields: Raw, message_id: str, session: AsyncClientSession
) -> bool:
    """Whether a message stands in the conversation, read in a repeat's transaction."""
    is_it = {"$elemMatch": {"id": message_id, "deleted": {"$ne": True}}}
    embedded = Conversation.owned_by(actor, _id=fields["_id"], messages=is_it)
    if await Conversation.get_pymongo_collection().count_documents(embedded, session=session):
        return True
    older = Segment.owned_by(actor, generation=fields["generation"], messages=is_it)
    return bool(await Segment.get_pymongo_collection().count_documents(older, session=session))
