"""Prepare new conversations before the commit, so that large ones do not delay others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.codec import PlainCodec
from chatvault.conversations.commits.bulk import write_generation
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation
from chatvault.conversations.parents import link_parents
from chatvault.conversations.schemas import ConversationCreate, MessageIn, to_stored_in_slices
from chatvault.conversations.segments import Generation
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import Link, links_within
from chatvault.fields import now
from chatvault.idempotency import IdempotencyKey, Idempotent


@dataclass(frozen=True, slots=True)
class PreparedMessages:
    """Messages that are ready to be stored; if they are many, the older ones are in segments.

    Attributes:
        generation: the generation of the older ones, if they are in segments.
        tail: those to embed.
        length: how many there are in all.
        links: of those to embed.
    """

    generation: Generation | None
    tail: list[MessageDoc]
    length: int
    links: Sequence[Link] = ()

    @property
    def written(self) -> int:
        """The bytes of those that are in segments already."""
        return 0 if self.generation is None else self.generation.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversation:
    """A conversation that is ready to be stored.

    Attributes:
        document: its fields, without messages.
        messages: its messages, ready to be stored.
    """

    actor: Actor
    access: Access
    document: ConversationDoc
    messages: PreparedMessages
    at: datetime

    @property
    def id(self) -> ObjectId:
        """The conversation's id."""
        return self.document["_id"]

    def insert(self, working: WorkingCopy, action: Action = Action.CONVERSATION_CREATE) -> ObjectId:
        """Decide to insert it; return its id."""
        working.insert(self.document.copy())
        new = self.messages
        if new.generation is not None:
            working.replace_messages(new.generation, self.at)
        working.append([message.copy() for message in new.tail], self.at, self.at, new.links)
        details = {"messages": new.length}
        working.outbox.record(
            audit.entry(self.actor, action, self.id, details=details),
            range(new.length),
        )
        return self.id

    def stored(self) -> ConversationDoc:
        """Return the document with its embedded messages, without writing it."""
        working = WorkingCopy(self.access, PlainCodec(), None)
        self.insert(working)
        return working.document


async def prepare(actor: Actor, store: MessageStore, wanted: ConversationCreate) -> NewConversation:
    """Prepare a conversation; if it has many messages, write them to segments."""
    at, access = now(), Access.of(actor)
    return NewConversation(
        actor=actor,
        access=access,
        document=Conversation.begin(access, at=at, **wanted.fields(at)),
        messages=await write_messages(access, store, wanted.messages, at),
        at=at,
    )


async def write_messages(
    access: Access, store: MessageStore, wanted: Sequence[MessageIn], at: datetime
) -> PreparedMessages:
    """Prepare messages; if they are many, write them to segments.

    Raises:
        UnknownParent: the parent of a message is not an earlier message.
    """
    messages = await to_stored_in_slices(wanted, at)
    links = link_parents(wanted, messages)
    generation, tail = await write_generation(access, store, messages, links)
    embedded = links_within(links, len(messages) - len(tail), len(messages))
    return PreparedMessages(generation, tail, len(messages), embedded)


def idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[ObjectId]:
    """Return how a repeat is answered: with the conversation's id."""

    async def find(conversation_id: ObjectId, session: AsyncClientSession) -> ObjectId:
        await Conversation.get_for_repeat(access, conversation_id, session)
        return conversation_id

    return Idempotent.by_id(
        idempotency_key, "conversation_id", id_of=lambda found: found, find=find
    )
