"""Attachments over HTTP."""

from typing import Final

from aiohttp import hdrs, web

from chatvault.actor import Actor, Scope
from chatvault.attachments import service
from chatvault.attachments.deps import AttachmentDeps
from chatvault.attachments.files import AttachmentLimitReached
from chatvault.attachments.schemas import (
    AttachmentHeaders,
    AttachmentOut,
    AttachmentPath,
    AttachmentQuery,
    AttachmentsOut,
)
from chatvault.attachments.wire import attachment_wire
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import RangeNotSatisfiable, TooLarge
from chatvault.http.attachments import content_disposition
from chatvault.http.bodies import BODY, BULK_BODY
from chatvault.http.requests import (
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
    stream_range,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

ATTACHMENT_DEPS = web.AppKey("attachment_deps", AttachmentDeps)
BYTES: Final = "application/octet-stream"
# Served with their media type; anything else as `application/octet-stream`.
SAFE: Final = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain"),
        *("audio/mpeg", "audio/mp4", "audio/wav", "audio/ogg", "audio/webm", "video/mp4"),
        *("video/webm", "application/pdf", "application/json", "application/zip", "text/csv"),
    }
)
POLICY: Final = "sandbox; default-src 'none'"
routes = Routes("attachments")


@routes.route(
    "GET",
    "/conversations/{conversation_id}/attachments",
    Action.CONVERSATION_LIST_ATTACHMENTS,
    scope=Scope.CONVERSATIONS_READ,
    returns=AttachmentsOut,
)
async def list_attachments(
    request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """List the files of a conversation, without their bytes.

    Files of an import are listed even if their bytes were never stored.
    """
    found = await service.list_attachments(
        actor, request.app[ATTACHMENT_DEPS], conversation_id=path.conversation_id
    )
    return json_response({"attachments": [*map(attachment_wire, found)]})


@routes.route(
    "GET",
    "/conversations/{conversation_id}/attachments/{attachment_id}",
    Action.CONVERSATION_GET_ATTACHMENT,
    scope=Scope.CONVERSATIONS_READ,
    returns=str,
    media=(BYTES,),
    errors=(RangeNotSatisfiable,),
    other={206: BYTES},
    sends=("Content-Disposition", "Content-Range", "Accept-Ranges"),
)
async def read_attachment(
    request: web.Request, actor: Actor, path: AttachmentPath, headers: AttachmentHeaders
) -> web.StreamResponse:
    """Read the bytes of a file, or one range of them.

    They are sent as a download, which a browser does not open in place of the page.
    """
    found = await service.read(
        actor,
        request.app[ATTACHMENT_DEPS],
        conversation_id=path.conversation_id,
        attachment_id=path.attachment_id,
        wanted=headers.range,
    )
    mime = (found.attachment.get("mime") or "").partition(";")[0].strip().lower()
    fields = {
        hdrs.CONTENT_TYPE: mime if mime in SAFE else BYTES,
        hdrs.CONTENT_DISPOSITION: content_disposition(
            found.attachment.get("name") or path.attachment_id
        ),
        "Content-Security-Policy": POLICY,
    }
    return await stream_range(request, found.chunks, found.bounds, headers=fields)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/attachments",
    Action.CONVERSATION_ATTACH,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=AttachmentOut,
    errors=(TooLarge, AttachmentLimitReached, KeyReused),
    takes="The file's bytes, with its media type as `Content-Type`.",
    max_body=BULK_BODY,
)
async def create_attachment(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: AttachmentQuery,
    headers: IdempotencyHeaders,
) -> web.StreamResponse:
    """Store a file in a conversation.

    A message shows it with a part of the type `file` that has its id.
    """
    key = await idempotency_key_of(request, headers, beside=query.model_dump_json())
    stated = request.headers.get(hdrs.CONTENT_TYPE)
    created = await service.create(
        actor,
        request.app[ATTACHMENT_DEPS],
        conversation_id=path.conversation_id,
        name=query.name,
        mime=None if stated is None else stated[:255],
        data=bytes(request[BODY]),
        idempotency_key=key,
    )
    return json_response(attachment_wire(created), status=201)
