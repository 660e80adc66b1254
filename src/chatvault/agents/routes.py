"""HTTP routes of agents."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.agents import service
from chatvault.agents.models import AgentNotFound, ModelCatalog
from chatvault.agents.schemas import (
    AgentCreate,
    AgentOut,
    AgentPatch,
    AgentPath,
    AgentsOut,
    agent_wire,
)
from chatvault.audit.actions import Action
from chatvault.errors import Denied
from chatvault.http.bodies import FREE_BODY
from chatvault.http.requests import RECORDER, IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

MODEL_CATALOG = web.AppKey("offer", ModelCatalog)
PATH = "/agents/{agent_id}"
NOT_CONFIGURED = "No model is configured: agents cannot answer until CHATVAULT_PROVIDERS is set."
routes = Routes("agents")


@routes.route("GET", "/agents", Action.AGENT_LIST, scope=Scope.AGENTS_RUN, returns=AgentsOut)
async def list_agents(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the agents that I may use, and the providers that they can name.

    The built-in one, mine, and those that an admin offers to all. `detail` says what is missing
    where no model is configured.
    """
    catalog = request.app[MODEL_CATALOG]
    agents = await service.list_all(actor, request.app[RECORDER])
    shown = {
        "agents": [agent_wire(each, actor.user_id) for each in agents],
        "providers": [
            {"name": name, "model": each.model, "is_default": name == catalog.default_name}
            for name, each in catalog.providers.items()
        ],
        "model_configured": bool(catalog.providers),
        "detail": None if catalog.providers else NOT_CONFIGURED,
    }
    return json_response(shown)


@routes.route(
    "POST",
    "/agents",
    Action.AGENT_CREATE,
    scope=Scope.AGENTS_RUN,
    status=201,
    returns=AgentOut,
    errors=(Denied, AgentNotFound, KeyReused),
    sends=("Location",),
    max_body=FREE_BODY,
)
async def create_agent(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: AgentCreate
) -> web.StreamResponse:
    """Make an agent; an admin may offer it to all.

    `provider` is one of those that `GET /agents` lists; null leaves the choice to the settings.
    A user may have 200.
    """
    idempotency_key = await idempotency_key_of(request, headers)
    made = await service.create(
        actor, request.app[MODEL_CATALOG], wanted=body, idempotency_key=idempotency_key
    )
    return json_response(
        agent_wire(made, actor.user_id),
        status=201,
        headers={"Location": f"/agents/{made['_id']}"},
    )


@routes.route(
    "GET", PATH, Action.AGENT_GET, scope=Scope.AGENTS_RUN, returns=AgentOut, errors=(AgentNotFound,)
)
async def get_agent(request: web.Request, actor: Actor, path: AgentPath) -> web.StreamResponse:
    """Read one agent.

    Mine, one that is offered to all, or the built-in one.
    """
    found = await service.get(actor, request.app[RECORDER], agent_id=path.agent_id)
    return json_response(agent_wire(found, actor.user_id))


@routes.route(
    "PATCH",
    PATH,
    Action.AGENT_UPDATE,
    scope=Scope.AGENTS_RUN,
    returns=AgentOut,
    errors=(AgentNotFound, Denied),
    max_body=FREE_BODY,
)
async def patch_agent(
    request: web.Request, actor: Actor, path: AgentPath, body: AgentPatch
) -> web.StreamResponse:
    """Change fields of an agent of mine; an admin, of one that is offered to all.

    What is not named stays. The built-in agent cannot be changed.
    """
    changed = await service.update(
        actor, request.app[MODEL_CATALOG], agent_id=path.agent_id, wanted=body
    )
    return json_response(agent_wire(changed, actor.user_id))


@routes.route(
    "DELETE",
    PATH,
    Action.AGENT_DELETE,
    scope=Scope.AGENTS_RUN,
    status=204,
    errors=(AgentNotFound, Denied),
)
async def delete_agent(_request: web.Request, actor: Actor, path: AgentPath) -> web.StreamResponse:
    """Remove an agent of mine.

    Conversations that name it are answered again once they name another.
    """
    await service.delete(actor, agent_id=path.agent_id)
    return web.Response(status=204)
