"""Showing and setting limits, for administrators and for an operator at the command line."""

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts.models import User
from chatvault.accounts.names import find_names
from chatvault.actor import Actor, Door, Role
from chatvault.api_keys.models import ApiKey
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import InvalidInput, NotFound
from chatvault.fields import Raw
from chatvault.limits import LimitName
from chatvault.mongodb.database import transaction
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.models import Quota, Subject
from chatvault.quotas.schemas import QuotaIn

# Limits that are counted by user, with any API key.
NOT_OF_KEYS = (LimitName.STORED_BYTES, LimitName.TOKENS_PER_DAY)


def _require_admin(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        actor.require_role(Role.ADMIN)


async def list_quotas(
    actor: Actor, recorder: Recorder, *, after: str | None, limit: int
) -> list[Raw]:
    """Return a page of quotas with the names of their users, sorted by subject; itself audited.

    Raises:
        Denied: the actor is no administrator.
    """
    _require_admin(actor)
    which: Raw = {} if after is None else {"_id": {"$gt": after}}
    quotas = Quota.get_pymongo_collection()
    found = await quotas.find(which, sort=[("_id", 1)], limit=limit).to_list()
    names = await find_names(user_id for each in found if (user_id := each.get("user_id")))
    await recorder.record(audit.entry(actor, Action.QUOTA_LIST, details={"quotas": len(found)}))
    return [{**each, "username": names.get(each.get("user_id"))} for each in found]


async def get_quota(actor: Actor, recorder: Recorder, *, subject: Subject) -> Raw:
    """Return the limits of a subject, which may have none; itself audited.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user or API key.
    """
    _require_admin(actor)
    found = await Quota.get_pymongo_collection().find_one({"_id": subject.name})
    shown = found or {**await _owned(subject), "_id": subject.name, "limits": {}}
    await recorder.record(audit.entry(actor, Action.QUOTA_GET, subject.name))
    return shown


async def set_quota(actor: Actor, book: QuotaBook, *, subject: Subject, wanted: QuotaIn) -> Raw:
    """Set the limits of a subject in the place of those before; return them.

    Args:
        actor: an administrator, or the operator at the command line.
        book: reads the limits at once; other processes do so some seconds later.
        subject: whose limits.
        wanted: the limits.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user or API key.
        InvalidInput: the limit cannot be that of an API key.
    """
    _require_admin(actor)
    limits = wanted.to_limits()
    if subject.key_id is not None and (wrong := limits.keys() & set(NOT_OF_KEYS)):
        problem = "is a limit of users and roles, not of API keys"
        raise InvalidInput.in_field("body", min(wrong), problem=problem, kind="not_of_keys")

    async def store(session: AsyncClientSession) -> Raw:
        shown = await _store(subject, limits, session)
        entry = audit.entry(actor, Action.QUOTA_SET, subject.name, details=dict(limits))
        await AuditEntry.store([entry], session)
        return shown

    shown = await transaction(store, turn=("quota", subject.name))
    await book.read()
    return shown


async def _store(subject: Subject, limits: dict[str, int], session: AsyncClientSession) -> Raw:
    owned = await _owned(subject, session)
    quotas, which = Quota.get_pymongo_collection(), {"_id": subject.name}
    if not limits:
        await quotas.delete_one(which, session=session)
        return {**owned, **which, "limits": {}}
    # By the server's clock, so that every process sees that the newest has changed.
    changes = {**owned, "limits": {"$literal": limits}, "updated_at": "$$NOW"}
    stored = await quotas.find_one_and_update(
        which,
        [{"$set": changes}],
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    return dict(stored or {})


async def _owned(subject: Subject, session: AsyncClientSession | None = None) -> Raw:
    """Return the fields of a quota that say whose it is, and until when.

    Raises:
        NotFound: there is no such user or API key.
    """
    if subject.role is not None:
        return {"user_id": None, "expires_at": None}
    if subject.user_id is not None:
        which = {"_id": subject.user_id}
        if await User.get_pymongo_collection().find_one(which, {"_id": True}, session=session):
            return {"user_id": subject.user_id, "expires_at": None}
        raise NotFound("There is no such role, user or API key")
    keys, shown = ApiKey.get_pymongo_collection(), {"user_id": True, "expires_at": True}
    key = await keys.find_one({"_id": subject.key_id}, shown, session=session)
    if key is None:
        raise NotFound("There is no such role, user or API key")
    return {"user_id": key["user_id"], "expires_at": key["expires_at"]}
