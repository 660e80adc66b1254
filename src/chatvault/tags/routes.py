"""HTTP routes of tags."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.bulk.updates import BulkDeps
from chatvault.errors import Throttled
from chatvault.http.requests import RECORDER, IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.tags import service
from chatvault.tags.schemas import RetaggedOut, TagMerge, TagRename, TagsOut, TagsQuery

TAG_DEPS = web.AppKey("tag_deps", BulkDeps)
routes = Routes("tags")


@routes.route("GET", "/tags", Action.TAG_LIST, scope=Scope.CONVERSATIONS_READ, returns=TagsOut)
async def list_tags(request: web.Request, actor: Actor, query: TagsQuery) -> web.StreamResponse:
    """List my tags, the most used ones first.

    Each with the number of conversations that have it, archived ones included.
    """
    tags, has_more = await service.list_tags(actor, request.app[RECORDER], limit=query.limit)
    return json_response({"tags": tags, "hasMore": has_more})


@routes.route(
    "POST",
    "/tags/rename",
    Action.TAG_RENAME,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=RetaggedOut,
    errors=(KeyReused, Throttled),
)
async def rename_tag(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: TagRename
) -> web.StreamResponse:
    """Give a tag another name, in all my conversations.

    Where a conversation has a tag of that name already, it has it once.
    """
    changed = await service.replace(
        actor,
        request.app[TAG_DEPS],
        Action.TAG_RENAME,
        tags=[body.tag],
        to=body.to,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(RetaggedOut(conversations=changed))


@routes.route(
    "POST",
    "/tags/merge",
    Action.TAG_MERGE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=RetaggedOut,
    errors=(KeyReused, Throttled),
)
async def merge_tags(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: TagMerge
) -> web.StreamResponse:
    """Put one tag in the place of several, in all my conversations.

    A conversation that had several of them has the one.
    """
    changed = await service.replace(
        actor,
        request.app[TAG_DEPS],
        Action.TAG_MERGE,
        tags=body.tags,
        to=body.into,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(RetaggedOut(conversations=changed))
