"""Writing, listing and removing notes; each change is one of the conversation, too."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.state import Write
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.holds import Holds, UnderHold
from chatvault.conversations.notes import Note
from chatvault.conversations.reading.consistency import not_deleted
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import Conflict, Denied, NotFound
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, was_carried_out

# The most notes of one conversation.
MOST_NOTES = 1000


class NotAuthor(Denied):
    """Only its author may change a note."""

    code = "not_author"


class TooManyNotes(Conflict):
    """The conversation has 1,000 notes; remove one of them first."""

    code = "too_many_notes"


@dataclass(frozen=True, slots=True)
class NoteDeps:
    """The dependencies of notes.

    Attributes:
        commits: the queue that commits changes.
        recorder: stores audit entries of reads.
    """

    commits: CommitQueue
    recorder: Recorder


async def create(
    actor: Actor,
    deps: NoteDeps,
    *,
    conversation_id: ObjectId,
    message_id: str,
    content: str,
    idempotency_key: IdempotencyKey | None,
) -> Raw:
    """Write a note beside a message; return it.

    Raises:
        NotFound: the actor has no such conversation, or it has no such message.
        InsufficientGrant: the conversation is shared with the actor for reading only.
        TooManyNotes: the conversation has as many notes as one may have.
    """
    access, at = await resolve(actor, conversation_id, Need.COMMENT), now()
    await check_not_gone(access, conversation_id)
    its = Note.owned_by(access, conversation_id=conversation_id)
    if not await was_carried_out(actor, idempotency_key):
        count = await Note.get_pymongo_collection().count_documents(its, limit=MOST_NOTES)
        if count >= MOST_NOTES:
            raise TooManyNotes
    note = {
        **its,
        "_id": ObjectId(),
        "message_id": message_id,
        "author_id": actor.owner_id,
        "content": content,
        "created_at": at,
        "updated_at": at,
    }
    known = idempotency_key and _idempotent(access, conversation_id, idempotency_key)
    change = _change(actor, access, Action.NOTE_CREATE, note, InsertOne(note), idempotent=known)
    return await deps.commits.submit(change)


def _idempotent(
    access: Access, conversation_id: ObjectId, idempotency_key: IdempotencyKey
) -> Idempotent[Raw]:
    async def find(note_id: ObjectId, session: AsyncClientSession) -> Raw:
        query = Note.owned_by(access, conversation_id=conversation_id, _id=note_id)
        found = await Note.get_pymongo_collection().find_one(query, session=session)
        if found is None:
            raise NotFound("Note not found")
        return dict(found)

    return Idempotent.by_id(
        idempotency_key,
        "note_id",
        id_of=lambda note: note["_id"],
        find=find,
        conversation_id=conversation_id,
    )


def _change(
    actor: Actor,
    access: Access,
    action: Action,
    note: Raw,
    write: Write,
    *,
    idempotent: Idempotent[Raw] | None = None,
) -> Change[Raw]:
    """Return the change of a conversation that writes one of its notes; its answer is the note."""
    conversation_id, message_id = note["conversation_id"], note["message_id"]

    def decide(working: WorkingCopy) -> Raw:
        if action is Action.NOTE_CREATE:
            working.locate(message_id)
        working.change_notes(write)
        details = {"note_id": str(note["_id"])}
        working.outbox.record(audit.entry(actor, action, conversation_id, details=details))
        return note

    return Change(
        actor=actor,
        access=access,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        need=Need.COMMENT,
        message_ids=frozenset({message_id}),
        size=estimate(note),
        idempotent=idempotent,
    )


async def list_notes(
    actor: Actor, deps: NoteDeps, *, conversation_id: ObjectId, message_id: str | None
) -> list[Raw]:
    """Return the notes of a conversation or of one message, the oldest first.

    Those of removed messages are left out.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    which = {} if message_id is None else {"message_id": message_id}
    query = Note.owned_by(access, conversation_id=conversation_id, **which)
    found = Note.get_pymongo_collection().find(query).sort("_id", 1)
    notes = [dict(each) for each in await found.limit(MOST_NOTES).to_list()]
    ids = sorted({each["message_id"] for each in notes})
    store = deps.commits.store

    async def read(conversation: ConversationDoc) -> list[StoredMessage]:
        return not_deleted(await find_messages(access, store, conversation, ids))

    left = {
        each.message["id"] for each in await read_consistently(access, store, conversation_id, read)
    }
    shown = [each for each in notes if each["message_id"] in left]
    details = {"notes": len(shown)}
    await deps.recorder.record(
        audit.entry(actor, Action.NOTE_LIST, conversation_id, details=details)
    )
    return shown


async def edit(
    actor: Actor, deps: NoteDeps, *, conversation_id: ObjectId, note_id: ObjectId, content: str
) -> Raw:
    """Change the text of one's own note; return the note.

    Raises:
        NotFound: the actor has no such note.
        NotAuthor: somebody else wrote it.
        UnderHold: a legal hold keeps it as it is.
    """
    access = await resolve(actor, conversation_id, Need.COMMENT)
    note = await _find(access, conversation_id, note_id)
    if note["author_id"] != actor.owner_id:
        raise NotAuthor
    changed = {"content": content, "updated_at": now()}
    write = UpdateOne(Note.owned_by(access, **_same(note)), {"$set": changed})
    change = _change(actor, access, Action.NOTE_UPDATE, {**note, **changed}, write)
    return await deps.commits.submit(change)


async def remove(
    actor: Actor, deps: NoteDeps, *, conversation_id: ObjectId, note_id: ObjectId
) -> None:
    """Remove a note: its author may, and the conversation's owner.

    Raises:
        NotFound: the actor has no such note.
        NotAuthor: somebody else wrote it, and the conversation is another's.
        UnderHold: a legal hold keeps it.
    """
    access = await resolve(actor, conversation_id, Need.COMMENT)
    note = await _find(access, conversation_id, note_id)
    if actor.owner_id not in {note["author_id"], access.owner_id}:
        raise NotAuthor
    write = DeleteOne(Note.owned_by(access, **_same(note)))
    await deps.commits.submit(_change(actor, access, Action.NOTE_DELETE, note, write))


def _same(note: Raw) -> Raw:
    """Return what identifies a note, as it was read."""
    return {name: note[name] for name in ("conversation_id", "_id", "author_id")}


async def _find(access: Access, conversation_id: ObjectId, note_id: ObjectId) -> Raw:
    """Return a note that is to be changed.

    Raises:
        NotFound: there is no such note.
        UnderHold: a legal hold keeps it.
    """
    await check_not_gone(access, conversation_id, "Note")
    query = Note.owned_by(access, conversation_id=conversation_id, _id=note_id)
    found = await Note.get_pymongo_collection().find_one(query)
    if found is None:
        raise NotFound("Note not found")
    if (await Holds.of(access)).cover(conversation_id):
        raise UnderHold
    return dict(found)
