"""HTTP routes of categories."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.categories import service
from chatvault.categories.schemas import (
    CategoriesOut,
    CategoryCreate,
    CategoryOut,
    CategoryPatch,
    CategoryPath,
)
from chatvault.categories.service import CategoryNotEmpty, CategoryTaken
from chatvault.conversations.bulk.updates import BulkDeps
from chatvault.conversations.categories import CategoryNotFound
from chatvault.errors import Throttled
from chatvault.http.requests import RECORDER, IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

PATH = "/categories/{category_id}"
CATEGORY_DEPS = web.AppKey("category_deps", BulkDeps)
routes = Routes("categories")


@routes.route(
    "GET",
    "/categories",
    Action.CATEGORY_LIST,
    scope=Scope.CONVERSATIONS_READ,
    returns=CategoriesOut,
)
async def list_categories(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my categories by name, each before those within it.

    With the number of conversations in each, archived ones included.
    """
    found = await service.list_all(actor, request.app[RECORDER])
    return json_response({"categories": found})


@routes.route(
    "POST",
    "/categories",
    Action.CATEGORY_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=CategoryOut,
    errors=(CategoryNotFound, CategoryTaken, KeyReused),
    sends=("Location",),
)
async def create_category(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: CategoryCreate
) -> web.StreamResponse:
    """Make a category, at the top or within one that is at the top.

    A conversation is put into it with `category_id`. A user may have 500.
    """
    idempotency_key = await idempotency_key_of(request, headers)
    made = await service.create(actor, wanted=body, idempotency_key=idempotency_key)
    return json_response(made, status=201, headers={"Location": f"/categories/{made['id']}"})


@routes.route(
    "PATCH",
    PATH,
    Action.CATEGORY_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=CategoryOut,
    errors=(CategoryNotFound, CategoryTaken),
)
async def patch_category(
    _request: web.Request, actor: Actor, path: CategoryPath, body: CategoryPatch
) -> web.StreamResponse:
    """Rename a category, or put it into another one.

    `parent_id: null` puts it at the top. What is not named stays.
    """
    changed = await service.update(actor, category_id=path.category_id, wanted=body)
    return json_response(changed)


@routes.route(
    "DELETE",
    PATH,
    Action.CATEGORY_DELETE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(CategoryNotFound, CategoryNotEmpty, Throttled),
)
async def delete_category(
    request: web.Request, actor: Actor, path: CategoryPath
) -> web.StreamResponse:
    """Remove a category; its conversations stay, in no category.

    One that has others within it is not removed.
    """
    await service.delete(actor, request.app[CATEGORY_DEPS], category_id=path.category_id)
    return web.Response(status=204)
