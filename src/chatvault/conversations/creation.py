"""New conversations: prepared outside the commit, so that many messages do not delay others."""

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
from chatvault.conversations.schemas import ConversationCreate, to_stored_in_slices
from chatvault.conversations.segments import Generation
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.fields import now
from chatvault.idempotency import IdempotencyKey, Idempotent


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversation:
    """A conversation whose messages are ready to be stored, or in segments already.

    Attributes:
        document: its fields, without messages.
        generation: the generation of its older messages, if they are in segments already.
        tail: the messages to embed.
        length: how many messages it has.
    """

    actor: Actor
    access: Access
    document: ConversationDoc
    generation: Generation | None
    tail: list[MessageDoc]
    length: int
    at: datetime

    @property
    def id(self) -> ObjectId:
        """The conversation's id."""
        return self.document["_id"]

    def insert(self, working: WorkingCopy) -> ObjectId:
        """Decide to insert it; return its id."""
        working.insert(self.document.copy())
        if self.generation is not None:
            working.replace_messages(self.generation, self.at)
        working.append([message.copy() for message in self.tail], self.at, self.at)
        details = {"messages": self.length}
        working.outbox.record(
            audit.entry(self.actor, Action.CONVERSATION_CREATE, self.id, details=details),
            range(self.length),
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
    messages = await to_stored_in_slices(wanted.messages, at)
    generation, tail = await write_generation(access, store, messages)
    return NewConversation(
        actor=actor,
        access=access,
        document=Conversation.begin(access, at=at, **wanted.fields()),
        generation=generation,
        tail=tail,
        length=len(messages),
        at=at,
    )


def idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[ObjectId]:
    """Return how a repeat is answered: with the conversation's id."""

    async def find(conversation_id: ObjectId, session: AsyncClientSession) -> ObjectId:
        await Conversation.get_for_repeat(access, conversation_id, session)
        return conversation_id

    return Idempotent.by_id(
        idempotency_key, "conversation_id", id_of=lambda found: found, find=find
    )
