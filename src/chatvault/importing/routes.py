"""Importing over HTTP."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import NotFound, Throttled, TooLarge
from chatvault.http.bodies import BODY, BULK_BODY
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.importing import bodies as uploads
from chatvault.importing.bodies import Uploads
from chatvault.importing.conversations import ImportRejected
from chatvault.importing.jobs import service as job_service
from chatvault.importing.jobs.routes import JOB_DEPS
from chatvault.importing.jobs.schemas import ImportJobOut, job_wire
from chatvault.importing.jobs.service import UploadIncomplete
from chatvault.importing.schemas import ImportOut, ImportQuery
from chatvault.importing.uploads.service import UploadElsewhere, UploadInUse

UPLOADS = web.AppKey("uploads", Uploads)
routes = Routes("imports")


@routes.route(
    "POST",
    "/imports",
    Action.IMPORT_RUN,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ImportOut,
    other={202: ImportJobOut},
    errors=(
        *(ImportRejected, TooLarge, KeyReused, NotFound, Throttled),
        *(UploadElsewhere, UploadIncomplete, UploadInUse),
    ),
    sends=("Location",),
    takes="An export of another product, a ZIP of one, or what a browser's localStorage held.",
    max_body=BULK_BODY,
)
async def import_conversations(
    request: web.Request, actor: Actor, query: ImportQuery, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Import conversations from another product; the format is detected.

    Conversations that were imported before are not imported again. With `dry_run`, nothing is
    written, and the answer is what would be done. With `upload_id`, an import of uploads starts in
    the background: the answer is 202 with its address.
    """
    # The query identifies the request together with the body.
    key = await idempotency_key_of(request, headers, beside=query.model_dump_json())
    if query.upload_id is not None:
        job = await job_service.start(
            actor,
            request.app[JOB_DEPS],
            upload_ids=query.upload_id,
            wanted=query,
            idempotency_key=key,
        )
        location = {"Location": f"/imports/{job['_id']}"}
        return json_response(job_wire(job), status=202, headers=location)
    imported = await uploads.import_upload(
        actor,
        request.app[UPLOADS],
        data=bytes(request[BODY]),
        wanted=query,
        idempotency_key=key,
    )
    return json_response(imported)
