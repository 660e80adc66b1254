"""HTTP routes of notes."""

from aiohttp import web

from chatvault.access import InsufficientGrant
from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.holds import UnderHold
from chatvault.conversations.schemas import ConversationPath
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.notes import service
from chatvault.notes.schemas import (
    NoteEdit,
    NoteIn,
    NoteOut,
    NotePath,
    NotesOut,
    NotesQuery,
    note_wire,
)
from chatvault.notes.service import NotAuthor, NoteDeps, TooManyNotes

NOTE_DEPS = web.AppKey("note_deps", NoteDeps)
PATH = "/conversations/{conversation_id}/notes"
routes = Routes("notes")


@routes.route("GET", PATH, Action.NOTE_LIST, scope=Scope.CONVERSATIONS_READ, returns=NotesOut)
async def list_notes(
    request: web.Request, actor: Actor, path: ConversationPath, query: NotesQuery
) -> web.StreamResponse:
    """List the notes beside a conversation's messages, the oldest first.

    For its owner and for everybody with whom it is shared.
    """
    found = await service.list_notes(
        actor,
        request.app[NOTE_DEPS],
        conversation_id=path.conversation_id,
        message_id=query.message_id,
    )
    return json_response(NotesOut(notes=[note_wire(each) for each in found]))


@routes.route(
    "POST",
    PATH,
    Action.NOTE_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=NoteOut,
    errors=(InsufficientGrant, KeyReused, TooManyNotes),
)
async def create_note(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: IdempotencyHeaders,
    body: NoteIn,
) -> web.StreamResponse:
    """Write a note beside a message.

    For the conversation's owner, commenters and editors. No model is sent it.
    """
    note = await service.create(
        actor,
        request.app[NOTE_DEPS],
        conversation_id=path.conversation_id,
        message_id=body.message_id,
        content=body.content,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(note_wire(note), status=201)


@routes.route(
    "PATCH",
    f"{PATH}/{{note_id}}",
    Action.NOTE_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=NoteOut,
    errors=(InsufficientGrant, NotAuthor, UnderHold),
)
async def edit_note(
    request: web.Request, actor: Actor, path: NotePath, body: NoteEdit
) -> web.StreamResponse:
    """Change the text of a note.

    Only its author may. Under a legal hold, nobody may.
    """
    note = await service.edit(
        actor,
        request.app[NOTE_DEPS],
        conversation_id=path.conversation_id,
        note_id=path.note_id,
        content=body.content,
    )
    return json_response(note_wire(note))


@routes.route(
    "DELETE",
    f"{PATH}/{{note_id}}",
    Action.NOTE_DELETE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(InsufficientGrant, NotAuthor, UnderHold),
)
async def remove_note(request: web.Request, actor: Actor, path: NotePath) -> web.StreamResponse:
    """Remove a note.

    Its author may, and the conversation's owner. Under a legal hold, nobody may.
    """
    await service.remove(
        actor,
        request.app[NOTE_DEPS],
        conversation_id=path.conversation_id,
        note_id=path.note_id,
    )
    return web.Response(status=204)
