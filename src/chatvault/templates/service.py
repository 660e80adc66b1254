"""Operations on a user's templates."""

from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.agents import service as agents
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.categories import check_category
from chatvault.conversations.templates import Template, check_texts
from chatvault.errors import Conflict
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once, was_carried_out
from chatvault.mongodb.database import transaction
from chatvault.templates.schemas import TemplateCreate, TemplatePatch

MAX_TEMPLATES = 200


class TooManyTemplates(Conflict):
    """You have 200 templates; remove one of them first."""

    code = "too_many_templates"


async def list_all(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return the actor's templates by name."""
    found = await Template.list_raw(Access.of(actor))
    details = {"templates": len(found)}
    await recorder.record(audit.entry(actor, Action.TEMPLATE_LIST, details=details))
    return found


async def get(actor: Actor, recorder: Recorder, *, template_id: ObjectId) -> Raw:
    """Return a template.

    Raises:
        TemplateNotFound: the actor has no such template.
    """
    found = await Template.get_raw(Access.of(actor), template_id)
    await recorder.record(audit.entry(actor, Action.TEMPLATE_GET, template_id))
    return found


async def create(
    actor: Actor, *, wanted: TemplateCreate, idempotency_key: IdempotencyKey | None = None
) -> Raw:
    """Make a template; a repeat of the request returns the first one.

    Raises:
        AgentNotFound: the actor may use no such agent.
        CategoryNotFound: the actor has no such category.
        InvalidInput: its texts are too long together.
        TooManyTemplates: the actor has as many as one may have.
        TemplateNotFound: this is a repeat, and the template is gone.
        KeyReused: the key came with another request.
    """
    access, at, fields = Access.of(actor), now(), wanted.model_dump(mode="python")
    if not await was_carried_out(actor, idempotency_key):
        check_texts(fields)
        await _check(actor, fields)
    template = Template.owned_by(
        access, _id=ObjectId(), **_stored(fields), created_at=at, updated_at=at
    )

    async def insert(session: AsyncClientSession) -> Raw:
        templates = Template.get_pymongo_collection()
        number = await templates.count_documents(Template.owned_by(access), session=session)
        if number >= MAX_TEMPLATES:
            raise TooManyTemplates
        await templates.insert_one(dict(template), session=session)
        await _record(actor, Action.TEMPLATE_CREATE, template["_id"], session)
        return template

    async def find(template_id: ObjectId, session: AsyncClientSession) -> Raw:
        return await Template.get_raw(access, template_id, session)

    known = idempotency_key and Idempotent.by_id(
        idempotency_key, "template_id", id_of=itemgetter("_id"), find=find, target="template_id"
    )
    return await transaction(
        lambda session: act_once(actor, Action.TEMPLATE_CREATE, known, session, insert),
        turn=("templates", access.owner_id),
    )


async def update(actor: Actor, *, template_id: ObjectId, wanted: TemplatePatch) -> Raw:
    """Change the named fields.

    Raises:
        TemplateNotFound: the actor has no such template.
        AgentNotFound: the actor may use no such agent.
        CategoryNotFound: the actor has no such category.
        InvalidInput: its texts are too long together.
    """
    access, fields = Access.of(actor), wanted.fields()
    await Template.get_raw(access, template_id)
    await _check(actor, fields)

    async def change(session: AsyncClientSession) -> Raw:
        stored = await Template.get_raw(access, template_id, session)
        changed = {**stored, **_stored(fields), "updated_at": now()}
        check_texts(changed)
        mine = Template.owned_by(access, _id=template_id)
        await Template.get_pymongo_collection().replace_one(mine, changed, session=session)
        await _record(actor, Action.TEMPLATE_UPDATE, template_id, session, fields=sorted(fields))
        return changed

    return await transaction(change, turn=("template", template_id))


async def delete(actor: Actor, *, template_id: ObjectId) -> None:
    """Remove a template; conversations that were made of it stay as they are.

    Raises:
        TemplateNotFound: the actor has no such template.
    """
    access = Access.of(actor)

    async def remove(session: AsyncClientSession) -> None:
        await Template.get_raw(access, template_id, session)
        mine = Template.owned_by(access, _id=template_id)
        await Template.get_pymongo_collection().delete_one(mine, session=session)
        await _record(actor, Action.TEMPLATE_DELETE, template_id, session)

    await transaction(remove, turn=("template", template_id))


async def _check(actor: Actor, fields: Raw) -> None:
    await agents.find(actor, fields.get("agent_id"))
    await check_category(Access.of(actor), fields.get("category_id"))


def _stored(fields: Raw) -> Raw:
    """Return fields as they are stored: roles as text."""
    if "messages" not in fields:
        return fields
    messages = [{**each, "role": each["role"].value} for each in fields["messages"]]
    return {**fields, "messages": messages}


async def _record(
    actor: Actor, action: Action, template_id: ObjectId, session: AsyncClientSession, **details: Any
) -> None:
    entry = audit.entry(actor, action, template_id, details=details or None)
    await AuditEntry.store([entry], session)
