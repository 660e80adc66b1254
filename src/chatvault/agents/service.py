"""Operations on agents."""

from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor, Role
from chatvault.agents.models import DEFAULT_AGENT_ID, Agent, AgentNotFound, ModelCatalog
from chatvault.agents.schemas import AgentCreate, AgentPatch
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import Denied, FieldError, InvalidInput
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction

MAX_AGENTS = 200


def built_in() -> Raw:
    """Return the default agent, which always exists."""
    names = Agent.model_fields.keys() - {"id", "revision_id"}
    defaults: Raw = {
        name: field.default
        for name, field in Agent.model_fields.items()
        if name in names and not field.is_required()
    }
    return {
        **defaults,
        "_id": DEFAULT_AGENT_ID,
        "user_id": None,
        "name": "Assistant",
        "shared": True,
        "created_at": None,
        "updated_at": None,
    }


async def find(actor: Actor, agent_id: ObjectId | None) -> Raw:
    """Return an agent that the actor may use; None means the default one. Writes no audit entry.

    Raises:
        AgentNotFound: the actor may use no such agent.
    """
    if agent_id is None or agent_id == DEFAULT_AGENT_ID:
        return built_in()
    found = await Agent.find_raw(actor, agent_id)
    if found is None:
        raise AgentNotFound
    return found


async def list_all(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return every agent that the actor may use, the default one first."""
    found = await Agent.list_raw(actor)
    details = {"agents": len(found) + 1}
    await recorder.record(audit.entry(actor, Action.AGENT_LIST, details=details))
    return [built_in(), *found]


async def get(actor: Actor, recorder: Recorder, *, agent_id: ObjectId) -> Raw:
    """Return an agent.

    Raises:
        AgentNotFound: the actor may use no such agent.
    """
    found = await find(actor, agent_id)
    await recorder.record(audit.entry(actor, Action.AGENT_GET, agent_id))
    return found


async def create(
    actor: Actor,
    catalog: ModelCatalog,
    *,
    wanted: AgentCreate,
    idempotency_key: IdempotencyKey | None = None,
) -> Raw:
    """Make an agent; a repeat of the request returns the first one.

    Raises:
        Denied: only an admin offers agents to all.
        InvalidInput: there is no such provider, or the actor has too many agents.
        KeyReused: the key came with another request.
        AgentNotFound: this is a repeat, and the agent is gone.
    """
    fields = wanted.model_dump()
    at = now()
    document: Raw = {
        "_id": ObjectId(),
        **Agent.owned_by(actor),
        **fields,
        "created_at": at,
        "updated_at": at,
        "version": 1,
    }

    async def insert(session: AsyncClientSession) -> Raw:
        _check(actor, catalog, fields)
        agents = Agent.get_pymongo_collection()
        if await agents.count_documents(Agent.owned_by(actor), session=session) >= MAX_AGENTS:
            raise InvalidInput(f"A user may have at most {MAX_AGENTS} agents.")
        await agents.insert_one(dict(document), session=session)
        await _record(actor, Action.AGENT_CREATE, document["_id"], session, fields)
        return document

    known = idempotency_key and _idempotent(actor, idempotency_key)
    return await transaction(
        lambda session: act_once(actor, Action.AGENT_CREATE, known, session, insert),
        turn=("agents", actor.owner_id),
    )


def _idempotent(actor: Actor, idempotency_key: IdempotencyKey) -> Idempotent[Raw]:
    async def find(agent_id: ObjectId, session: AsyncClientSession) -> Raw:
        made = await Agent.find_raw(actor, agent_id, session)
        if made is None:
            raise AgentNotFound
        return made

    return Idempotent.by_id(
        idempotency_key, "agent_id", id_of=itemgetter("_id"), find=find, target="agent_id"
    )


async def update(
    actor: Actor, catalog: ModelCatalog, *, agent_id: ObjectId, wanted: AgentPatch
) -> Raw:
    """Change the named fields.

    Raises:
        AgentNotFound: the actor may use no such agent.
        Denied: the actor may use it, but not change it.
        InvalidInput: there is no such provider.
    """
    fields = wanted.fields()
    _check(actor, catalog, fields)

    async def change(session: AsyncClientSession) -> Raw:
        stored = await _editable(actor, agent_id, session)
        changed = {**stored, **fields, "updated_at": now(), "version": stored["version"] + 1}
        mine = {"_id": agent_id, "user_id": stored["user_id"]}
        await Agent.get_pymongo_collection().replace_one(mine, changed, session=session)
        await _record(actor, Action.AGENT_UPDATE, agent_id, session, fields)
        return changed

    return await transaction(change, turn=("agent", agent_id))


async def delete(actor: Actor, *, agent_id: ObjectId) -> None:
    """Remove an agent; conversations that name it must name another to be answered again.

    Raises:
        AgentNotFound: the actor may use no such agent.
        Denied: the actor may use it, but not remove it.
    """

    async def remove(session: AsyncClientSession) -> None:
        stored = await _editable(actor, agent_id, session)
        mine = {"_id": agent_id, "user_id": stored["user_id"]}
        await Agent.get_pymongo_collection().delete_one(mine, session=session)
        await _record(actor, Action.AGENT_DELETE, agent_id, session)

    await transaction(remove, turn=("agent", agent_id))


def _check(actor: Actor, catalog: ModelCatalog, fields: Raw) -> None:
    if fields.get("shared"):
        actor.require_role(Role.ADMIN)
    provider = fields.get("provider")
    if provider is not None and provider not in catalog.providers:
        raise InvalidInput(
            "provider: is none of those that are configured; GET /agents lists them",
            errors=(FieldError(("body", "provider"), "is not configured", "unknown_provider"),),
        )


async def _editable(actor: Actor, agent_id: ObjectId, session: AsyncClientSession) -> Raw:
    if agent_id == DEFAULT_AGENT_ID:
        raise Denied("The built-in agent stays as it is; make one of your own.")
    stored = await Agent.find_raw(actor, agent_id, session)
    if stored is None:
        raise AgentNotFound
    if stored["shared"]:
        actor.require_role(Role.ADMIN)
    return stored


async def _record(
    actor: Actor,
    action: Action,
    agent_id: ObjectId,
    session: AsyncClientSession,
    fields: dict[str, Any] | None = None,
) -> None:
    details = None if fields is None else {"fields": sorted(fields)}
    entry = audit.entry(actor, action, agent_id, details=details)
    await AuditEntry.store([entry], session)
