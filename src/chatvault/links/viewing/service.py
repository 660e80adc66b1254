"""Reading what a link shows, and making a copy of it."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.conversations.commits.bulk import write_generation
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.creation import NewConversation, PreparedMessages, idempotent
from chatvault.conversations.links import Link, in_force
from chatvault.conversations.models import Conversation
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.service import read_back
from chatvault.conversations.shapes import MessageDoc
from chatvault.fields import Raw, now
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.links.copying import stored_messages
from chatvault.links.deps import LinkDeps
from chatvault.links.errors import LinkNotFound
from chatvault.links.live import LiveReader
from chatvault.links.snapshot import MAX_BYTES, MAX_MESSAGES, LinkTooLong, SharedContent
from chatvault.links.viewing.opening import OpenedLink, Secrets, open_link
from chatvault.mongodb.database import transaction

FORKED_FROM = "forked_from"


@dataclass(frozen=True, slots=True)
class SharedPage:
    """A page of what a link shows.

    Attributes:
        link: as it is stored.
        content: that of the page.
        page: its number.
        link_pass: opens the link again in place of its password; None without one.
    """

    link: Raw
    content: SharedContent
    page: int
    link_pass: str | None


async def view(actor: Actor, deps: LinkDeps, *, secrets: Secrets, page: int) -> SharedPage:
    """Return a page of what a link shows; the first one counts as a view.

    Raises:
        LinkNotFound: there is no such link, or it does not work any more.
        LinkPasswordRequired: it has a password, and none was sent.
        WrongLinkPassword: it has another password.
        Throttled: there were too many views, or wrong passwords.
    """
    opened = await open_link(actor, deps, secrets)
    content = await opened.reader.read(opened.access, page)
    if page == 1:
        await _count(actor, opened, {"page": page})
    else:
        entry = audit.entry(actor, Action.LINK_VIEW, opened.link["_id"], details={"page": page})
        await deps.recorder.record(entry)
    return SharedPage(opened.link, content, page, opened.link_pass)


async def _count(actor: Actor, opened: OpenedLink, details: Raw) -> None:
    """Count a view, and record who had it.

    Raises:
        LinkNotFound: the link was revoked at this moment.
    """
    link_id = opened.link["_id"]

    async def count(session: AsyncClientSession) -> None:
        at = now()
        working = Link.owned_by(opened.access, **in_force(at), _id=link_id)
        counted = await Link.get_pymongo_collection().update_one(
            working, {"$inc": {"views": 1}, "$set": {"last_viewed_at": at}}, session=session
        )
        if not counted.matched_count:
            raise LinkNotFound
        entry = audit.entry(actor, Action.LINK_VIEW, link_id, details=details)
        await AuditEntry.store([entry], session)

    await transaction(count, turn=("link", link_id))


async def fork(
    actor: Actor,
    deps: LinkDeps,
    *,
    secrets: Secrets,
    title: str | None,
    idempotency_key: IdempotencyKey | None = None,
) -> ConversationView:
    """Make a conversation of the actor's own of what a link shows; return it.

    Raises:
        LinkNotFound: there is no such link, or it does not work any more.
        LinkPasswordRequired: it has a password, and none was sent.
        WrongLinkPassword: it has another password.
        NotFound: this is a repeat, and the conversation was deleted.
        KeyReused: the key came with another request.
        Throttled: the user made too many copies in this minute, or opened too many links.
    """
    own, store = Access.of(actor), deps.commits.store
    known = idempotency_key and idempotent(own, idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            made = await answer_repeat(actor, Action.CONVERSATION_FORK, known)
            return await read_back(own, store, conversation_id=made)
        opened = await open_link(actor, deps, secrets)
        async with deps.forks.take(actor):
            made = await _copy(actor, deps, opened, title, known)
    return await read_back(own, store, conversation_id=made)


async def _read_all(opened: OpenedLink) -> tuple[Raw, list[MessageDoc]]:
    """Return what the conversation shows, and all messages as a copy stores them.

    Raises:
        LinkTooLong: it is live, and has become longer than what a link may show.
    """
    messages: list[MessageDoc] = []
    size, page, is_live = 0, 1, isinstance(opened.reader, LiveReader)
    while True:
        content = await opened.reader.read(opened.access, page)
        some = stored_messages(content.messages, opened.link["created_at"])
        messages += some
        size += estimate(*some)
        if is_live and (len(messages) > MAX_MESSAGES or size > MAX_BYTES):
            raise LinkTooLong
        if content.next is None:
            return content.conversation, messages
        page = content.next


async def _copy(
    actor: Actor,
    deps: LinkDeps,
    opened: OpenedLink,
    title: str | None,
    known: Idempotent[ObjectId] | None,
) -> ObjectId:
    """Store the copy; return its id."""
    access, at = Access.of(actor), now()
    conversation, messages = await _read_all(opened)
    await _count(actor, opened, {"fork": True})
    generation, tail = await write_generation(access, deps.commits.store, messages)
    new = NewConversation(
        actor=actor,
        access=access,
        document=Conversation.begin(
            access,
            title=title or conversation["title"],
            tags=[],
            metadata={FORKED_FROM: {"link_id": str(opened.link["_id"])}},
            at=at,
            system_prompt=conversation.get("system_prompt"),
        ),
        messages=PreparedMessages(generation, tail, len(messages)),
        at=at,
    )
    return await deps.commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_FORK,
            where=("_id", new.id),
            decide=lambda working: new.insert(working, Action.CONVERSATION_FORK),
            is_new=True,
            size=estimate(new.document, *new.messages.tail),
            idempotent=known,
        )
    )
