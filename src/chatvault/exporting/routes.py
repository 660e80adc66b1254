"""Exporting over HTTP."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import NotFound, Throttled
from chatvault.exporting import service
from chatvault.exporting.files import ARCHIVE
from chatvault.exporting.formats import WRITERS
from chatvault.exporting.pdf import files as pdf
from chatvault.exporting.pdf.typesetter import PdfNotInstalled
from chatvault.exporting.schemas import ExportManyQuery, ExportOut, ExportQuery, ShareGPTOut
from chatvault.exporting.service import Export
from chatvault.exporting.turns import ExportDeps
from chatvault.http.attachments import content_disposition
from chatvault.http.requests import stream
from chatvault.http.routing import Routes

EXPORT_DEPS = web.AppKey("export_deps", ExportDeps)
MEDIA = (
    *dict.fromkeys(each.media_type.partition(";")[0] for each in WRITERS.values()),
    pdf.MEDIA_TYPE,
    ARCHIVE[1],
)
# A client that reads nothing for this long is gone; its slot is given to another.
STALLED_SECONDS = 60.0
routes = Routes("exports")


async def _send(request: web.Request, export: Export) -> web.StreamResponse:
    headers = {
        "Content-Type": export.media_type,
        "Content-Disposition": content_disposition(export.name),
    }
    return await stream(request, export.chunks, headers=headers, patience=STALLED_SECONDS)


@routes.route(
    "GET",
    "/conversations/{conversation_id}/export",
    Action.CONVERSATION_EXPORT,
    scope=Scope.EXPORT,
    returns=ExportOut | list[ShareGPTOut],
    media=MEDIA,
    errors=(Throttled, PdfNotInstalled),
    sends=("Content-Disposition",),
)
async def export_conversation(
    request: web.Request, actor: Actor, path: ConversationPath, query: ExportQuery
) -> web.StreamResponse:
    """Export one conversation as a file.

    The file is streamed; the response ends early if it cannot be completed. A PDF of over 1,000
    messages comes as a ZIP of several; so do Markdown and HTML with attachments.
    """
    export = await service.export_conversation(
        actor,
        request.app[EXPORT_DEPS],
        conversation_id=path.conversation_id,
        wanted=query.format,
        attachments=query.attachments,
    )
    return await _send(request, export)


@routes.route(
    "GET",
    "/conversations/export",
    Action.CONVERSATION_EXPORT,
    scope=Scope.EXPORT,
    returns=ExportOut | list[ShareGPTOut],
    media=MEDIA,
    errors=(Throttled, NotFound, PdfNotInstalled),
    sends=("Content-Disposition",),
)
async def export_conversations(
    request: web.Request, actor: Actor, query: ExportManyQuery
) -> web.StreamResponse:
    """Export all my conversations as one file, or a selection of them.

    They are in the order of their creation. Markdown, HTML and PDF come as a ZIP of files.
    """
    export = await service.export_conversations(
        actor,
        request.app[EXPORT_DEPS],
        wanted=query.format,
        ids=query.ids,
        after=query.after,
        attachments=query.attachments,
    )
    return await _send(request, export)


@routes.route(
    "GET",
    "/users/me/export",
    Action.USER_EXPORT,
    scope=Scope.EXPORT,
    returns=str,
    media=(ARCHIVE[1],),
    errors=(Throttled,),
    sends=("Content-Disposition",),
)
async def export_user(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Export everything about me, as a ZIP.

    Account, preferences, agents, sessions, usage, conversations with their attachments, revisions,
    imports and the audit entries about me, without passwords and other secrets.
    """
    export = await service.export_user(actor, request.app[EXPORT_DEPS])
    return await _send(request, export)
