"""HTTP routes of templates."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.agents.models import AgentNotFound
from chatvault.audit.actions import Action
from chatvault.conversations.categories import CategoryNotFound
from chatvault.conversations.templates import TemplateNotFound
from chatvault.http.bodies import FREE_BODY
from chatvault.http.requests import RECORDER, IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.templates import service
from chatvault.templates.schemas import (
    TemplateCreate,
    TemplateOut,
    TemplatePatch,
    TemplatePath,
    TemplatesOut,
    template_wire,
)
from chatvault.templates.service import TooManyTemplates

PATH = "/templates/{template_id}"
routes = Routes("templates")


@routes.route(
    "GET",
    "/templates",
    Action.TEMPLATE_LIST,
    scope=Scope.CONVERSATIONS_READ,
    returns=TemplatesOut,
)
async def list_templates(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my templates by name.

    Each with the names of the variables in its texts.
    """
    found = await service.list_all(actor, request.app[RECORDER])
    return json_response({"templates": [template_wire(each) for each in found]})


@routes.route(
    "POST",
    "/templates",
    Action.TEMPLATE_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=TemplateOut,
    errors=(AgentNotFound, CategoryNotFound, TooManyTemplates, KeyReused),
    sends=("Location",),
    max_body=FREE_BODY,
)
async def create_template(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: TemplateCreate
) -> web.StreamResponse:
    """Make a template of conversations.

    `{{name}}` in its system prompt and messages is a variable, which `POST /conversations` fills
    in. A user may have 200.
    """
    idempotency_key = await idempotency_key_of(request, headers)
    made = await service.create(actor, wanted=body, idempotency_key=idempotency_key)
    location = {"Location": f"/templates/{made['_id']}"}
    return json_response(template_wire(made), status=201, headers=location)


@routes.route(
    "GET",
    PATH,
    Action.TEMPLATE_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=TemplateOut,
    errors=(TemplateNotFound,),
)
async def get_template(
    request: web.Request, actor: Actor, path: TemplatePath
) -> web.StreamResponse:
    """Read one template.

    With the names of the variables in its texts.
    """
    found = await service.get(actor, request.app[RECORDER], template_id=path.template_id)
    return json_response(template_wire(found))


@routes.route(
    "PATCH",
    PATH,
    Action.TEMPLATE_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=TemplateOut,
    errors=(TemplateNotFound, AgentNotFound, CategoryNotFound),
    max_body=FREE_BODY,
)
async def patch_template(
    _request: web.Request, actor: Actor, path: TemplatePath, body: TemplatePatch
) -> web.StreamResponse:
    """Change fields of a template.

    What is not named stays.
    """
    changed = await service.update(actor, template_id=path.template_id, wanted=body)
    return json_response(template_wire(changed))


@routes.route(
    "DELETE",
    PATH,
    Action.TEMPLATE_DELETE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(TemplateNotFound,),
)
async def delete_template(
    _request: web.Request, actor: Actor, path: TemplatePath
) -> web.StreamResponse:
    """Remove a template.

    Conversations that were made of it stay as they are.
    """
    await service.delete(actor, template_id=path.template_id)
    return web.Response(status=204)
