"""Imports in the background over HTTP."""

import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.fields import Raw
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.http.sse import EVENT_STREAM, Event, send_events
from chatvault.idempotency import KeyReused
from chatvault.importing.jobs import service as job_service
from chatvault.importing.jobs.schemas import (
    FollowImportHeaders,
    ImportJobOut,
    ImportListOut,
    ImportListQuery,
    ImportPath,
    job_wire,
)
from chatvault.importing.jobs.service import JobDeps

JOB_DEPS = web.AppKey("job_deps", JobDeps)
routes = Routes("imports")


@routes.route(
    "GET", "/imports", Action.IMPORT_LIST, scope=Scope.CONVERSATIONS_READ, returns=ImportListOut
)
async def list_imports(
    request: web.Request, actor: Actor, query: ImportListQuery
) -> web.StreamResponse:
    """List my imports of uploads, the newest first.

    Small files that were imported at once are not among them.
    """
    jobs, following = await job_service.list_page(
        actor, request.app[JOB_DEPS], limit=query.limit, after=query.after
    )
    return json_response({"imports": [job_wire(each) for each in jobs], "next": following})


@routes.route(
    "GET",
    "/imports/{import_id}",
    Action.IMPORT_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=ImportJobOut,
)
async def get_import(request: web.Request, actor: Actor, path: ImportPath) -> web.StreamResponse:
    """Return an import's progress and its report so far.

    The report of an import that has ended stays available.
    """
    job = await job_service.get(actor, request.app[JOB_DEPS], import_id=path.import_id)
    return json_response(job_wire(job))


@routes.route(
    "GET",
    "/imports/{import_id}/events",
    Action.IMPORT_FOLLOW,
    scope=Scope.CONVERSATIONS_READ,
    returns=str,
    media=(EVENT_STREAM,),
)
async def follow_import(
    request: web.Request, actor: Actor, path: ImportPath, headers: FollowImportHeaders
) -> web.StreamResponse:
    """Follow an import from `Last-Event-ID` on, until it has ended.

    Each `import` event holds the import's state at that time.
    """
    states = await job_service.open_events(
        actor,
        request.app[JOB_DEPS],
        import_id=path.import_id,
        after=headers.last_event_id,
    )
    return await send_events(request, _events(states))


async def _events(states: AsyncGenerator[tuple[int, Raw]]) -> AsyncGenerator[Event, None]:
    async with contextlib.aclosing(states):
        async for number, job in states:
            yield number, "import", job_wire(job)


@routes.route(
    "POST",
    "/imports/{import_id}/cancel",
    Action.IMPORT_CANCEL,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ImportJobOut,
    errors=(KeyReused,),
)
async def cancel_import(
    request: web.Request, actor: Actor, path: ImportPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Cancel an import; what it has imported stays, each conversation complete.

    An import that has ended is not changed.
    """
    job = await job_service.cancel(
        actor,
        request.app[JOB_DEPS],
        import_id=path.import_id,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(job_wire(job))
