"""Making, listing and revoking links to one's own conversations."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bson import ObjectId
from pymongo import InsertOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.links import Link, LinkMode, LinkPart, in_force
from chatvault.conversations.models import Conversation
from chatvault.conversations.shapes import ConversationDoc
from chatvault.errors import Busy, NotFound, OutcomeUnknown
from chatvault.fields import Raw, now
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    answer_repeat,
    key_lock,
    was_carried_out,
)
from chatvault.links.deps import LinkDeps
from chatvault.links.errors import LinkNotFound, LinksOff, TooManyLinks
from chatvault.links.schemas import LinkIn
from chatvault.links.snapshot import SnapshotWriter
from chatvault.links.token import hash_token, new_token, snapshot_key
from chatvault.mongodb.database import transaction

# The links of a user that work, and the bytes of their snapshots.
MAX_LINKS: Final = 200
MAX_TOTAL_BYTES: Final = 1024 * 1024 * 1024
LISTED: Final = 1000
ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class CreatedLink:
    """A new link; `token` is stored nowhere, and None in the answer to a repeat."""

    link: Raw
    token: str | None


class _Edited(Busy):
    """The conversation was changed meanwhile."""


async def create(
    actor: Actor,
    deps: LinkDeps,
    *,
    conversation_id: ObjectId,
    wanted: LinkIn,
    idempotency_key: IdempotencyKey | None = None,
) -> CreatedLink:
    """Make a link to a conversation of the actor's, by default to a snapshot of it.

    Raises:
        LinksOff: there are no links here.
        NotFound: the actor has no such conversation or message.
        LinkTooLong: the conversation is too long.
        TooManyLinks: the actor has as many links as there may be.
        Throttled: the actor made too many in this minute.
        KeyReused: the key came with another request.
        Busy: the conversation kept changing.
    """
    if not deps.is_on:
        raise LinksOff
    access = await resolve(actor, conversation_id, Need.MANAGE)
    known = idempotency_key and _idempotent(access, idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            return CreatedLink(await answer_repeat(actor, Action.LINK_CREATE, known), None)
        await deps.rate.admit(str(actor.owner_id))
        # A stranger's conversation is not found, whatever else is wrong.
        await deps.commits.store.get_conversation(access, conversation_id)
        links, size = await Link.sum_open(access, now())
        if links >= MAX_LINKS or size >= MAX_TOTAL_BYTES:
            raise TooManyLinks
        password_hash = None
        if wanted.password is not None:
            given = wanted.password.get_secret_value()
            password_hash = await deps.hasher.hash(given, source=actor.address or "")
        for _ in range(ATTEMPTS):
            with suppress(_Edited):
                made = _Making(actor, access, deps, conversation_id, wanted)
                return await made.make(password_hash, known)
    raise Busy(retry_after=1)


class _Making:
    """One attempt to make a link.

    Args:
        actor: who makes it.
        access: to the owner's data.
        deps: the dependencies of links.
        conversation_id: the conversation's id.
        wanted: what it shows, and for how long.
    """

    def __init__(
        self,
        actor: Actor,
        access: Access,
        deps: LinkDeps,
        conversation_id: ObjectId,
        wanted: LinkIn,
    ) -> None:
        self._actor, self._access, self._deps, self._wanted = actor, access, deps, wanted
        self._conversation_id = conversation_id
        self._id, self._token = ObjectId(), new_token()

    async def make(self, password_hash: str | None, known: Idempotent[Raw] | None) -> CreatedLink:
        """Write the snapshot, if it has one, and store the link with its audit entry."""
        store = self._deps.commits.store
        found = await store.get_conversation(self._access, self._conversation_id)
        writer = SnapshotWriter(
            self._access,
            self._id,
            self._conversation_id,
            key=snapshot_key(self._token),
            include=self._wanted.include,
        )
        is_kept = False
        try:
            if self._wanted.mode is LinkMode.SNAPSHOT:
                await writer.write(store, found, self._wanted.up_to)
            link = self._link(writer, password_hash)
            await writer.keep_until(link["expires_at"])
            stored = await self._commit(link, found, known)
            is_kept = True
        except OutcomeUnknown:
            # The link may be stored; nobody has its token.
            is_kept = True
            raise
        finally:
            if not is_kept:
                with suppress(PyMongoError):
                    await writer.discard()
        return CreatedLink(stored, self._token)

    def _link(self, writer: SnapshotWriter, password_hash: str | None) -> Raw:
        at = now()
        return Link.owned_by(
            self._access,
            _id=self._id,
            conversation_id=self._conversation_id,
            mode=self._wanted.mode.value,
            token_hash=hash_token(self._token),
            include=[each.value for each in self._wanted.include],
            messages=writer.messages,
            parts=writer.parts,
            size=writer.size,
            created_at=at,
            expires_at=at + self._wanted.lifetime,
            password_hash=password_hash,
            views=0,
            last_viewed_at=None,
            revoked_at=None,
        )

    async def _commit(self, link: Raw, read: ConversationDoc, known: Idempotent[Raw] | None) -> Raw:
        def decide(working: WorkingCopy) -> Raw:
            is_other = _content_version(working.fields) != _content_version(read)
            if is_other and self._wanted.mode is LinkMode.SNAPSHOT:
                raise _Edited(retry_after=1)
            working.note_link(link["created_at"])
            working.beside.append((Link, InsertOne(dict(link))))
            details: Raw = {
                "mode": link["mode"],
                "include": link["include"],
                "messages": link["messages"],
                "days": self._wanted.expires_in_days,
                "password": link["password_hash"] is not None,
                "conversation_id": str(self._conversation_id),
            }
            entry = audit.entry(self._actor, Action.LINK_CREATE, self._id, details=details)
            working.outbox.record(entry)
            return link

        return await self._deps.commits.submit(
            Change(
                actor=self._actor,
                access=self._access,
                action=Action.LINK_CREATE,
                where=("_id", self._conversation_id),
                decide=decide,
                idempotent=known,
            )
        )


def _content_version(fields: ConversationDoc) -> tuple[ObjectId, int]:
    """Return a value that every edit, removal and replacement of messages changes."""
    return fields["generation"], fields.get("edits", 0)


def _idempotent(access: Access, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    """Return how a repeat is answered: with the link, which may be revoked by now."""

    async def find(link_id: ObjectId, session: AsyncClientSession) -> Raw:
        mine = Link.owned_by(access, _id=link_id)
        found: Raw | None = await Link.get_pymongo_collection().find_one(mine, session=session)
        if found is None:
            raise LinkNotFound
        return found

    return Idempotent.by_id(
        idempotency_key,
        "link_id",
        id_of=lambda link: link["_id"],
        find=find,
        target="link_id",
    )


async def list_mine(
    actor: Actor, recorder: Recorder, *, conversation_id: ObjectId | None = None
) -> list[Raw]:
    """Return the actor's links, or those to one conversation, the newest first.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access, which = Access.of(actor), {}
    if conversation_id is not None:
        access = await resolve(actor, conversation_id, Need.MANAGE)
        which = {"conversation_id": conversation_id}
    found = await Link.list_raw(access, LISTED, **which)
    if not found and conversation_id is not None:
        await _require(access, conversation_id)
    entry = audit.entry(actor, Action.LINK_LIST, conversation_id, details={"links": len(found)})
    await recorder.record(entry)
    return found


async def revoke(actor: Actor, *, link_id: ObjectId) -> None:
    """Revoke one of the actor's links at once, everywhere, and remove its snapshot.

    Raises:
        LinkNotFound: the actor has no such link.
    """
    access = Access.of(actor)

    async def end(session: AsyncClientSession) -> None:
        if not await _end(access, {"_id": link_id}, session):
            mine = Link.owned_by(access, _id=link_id)
            if await Link.get_pymongo_collection().find_one(mine, session=session) is None:
                raise LinkNotFound
        await AuditEntry.store([audit.entry(actor, Action.LINK_REVOKE, link_id)], session)

    await transaction(end, turn=("links", actor.owner_id))


async def revoke_all(actor: Actor, *, conversation_id: ObjectId | None = None) -> int:
    """Revoke all of the actor's links, or those to one conversation; return how many worked.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access, which = Access.of(actor), {}
    if conversation_id is not None:
        access = await resolve(actor, conversation_id, Need.MANAGE)
        which = {"conversation_id": conversation_id}
        await _require(access, conversation_id)

    async def end(session: AsyncClientSession) -> int:
        ended = await _end(access, which, session)
        details = {"links": ended}
        entry = audit.entry(actor, Action.LINK_REVOKE_ALL, conversation_id, details=details)
        await AuditEntry.store([entry], session)
        return ended

    return await transaction(end, turn=("links", actor.owner_id))


async def _end(access: Access, which: Raw, session: AsyncClientSession) -> int:
    """Revoke links, and remove their snapshots; return how many worked until then."""
    at, links = now(), Link.get_pymongo_collection()
    open_now = Link.owned_by(access, **in_force(at), **which)
    found = await links.find(open_now, {"conversation_id": True}, session=session).to_list()
    # Their passwords are of no more use.
    ended = {"$set": {"revoked_at": at, "password_hash": None}}
    await links.update_many(
        Link.owned_by(access, _id={"$in": [each["_id"] for each in found]}), ended, session=session
    )
    for each in found:
        its = LinkPart.owned_by(access, each["conversation_id"], link_id=each["_id"])
        await LinkPart.get_pymongo_collection().delete_many(its, session=session)
    return len(found)


async def _require(access: Access, conversation_id: ObjectId) -> None:
    """Raise NotFound unless the conversation exists."""
    if not await Conversation.list_ids(access, _id=conversation_id):
        raise NotFound("Conversation not found")
