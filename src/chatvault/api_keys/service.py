"""Making, listing and revoking API keys."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor, Role, Scope
from chatvault.api_keys.models import ApiKey
from chatvault.api_keys.schemas import ApiKeyIn
from chatvault.api_keys.secret import SHOWN, hash_secret, new_secret
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import Conflict, Denied, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction
from chatvault.mongodb.rates import Rate

MAX_KEYS = 100


class TooManyKeys(Conflict):
    """You have as many API keys as there may be; revoke one first."""

    code = "too_many_api_keys"


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new API key; `secret` is its text, which is stored nowhere."""

    key: ApiKey
    secret: str


async def create(actor: Actor, rate: Rate | None, *, wanted: ApiKeyIn) -> CreatedKey:
    """Make an API key for the actor.

    Args:
        actor: its owner.
        rate: how many keys a user may make in a minute; None for an operator.
        wanted: its name, scopes and lifetime.

    Raises:
        Denied: the key is to administrate, and the actor may not.
        Throttled: too many were made just now.
        TooManyKeys: the actor has as many as there may be.
    """
    if Scope.ADMIN in wanted.scopes and actor.role is not Role.ADMIN:
        raise Denied("Only an administrator's key can have the scope admin.")
    if rate is not None:
        await rate.admit(str(actor.owner_id))
    secret, at = new_secret(), now()
    key = ApiKey(
        user_id=actor.owner_id,
        key_hash=hash_secret(secret),
        prefix=secret[:SHOWN],
        name=wanted.name,
        scopes=wanted.scopes,
        created_at=at,
        expires_at=at + wanted.lifetime,
        created_from=actor.address,
    )
    details: Raw = {
        "scopes": [scope.value for scope in wanted.scopes],
        "days": wanted.expires_in_days,
    }
    entry = audit.entry(actor, Action.API_KEY_CREATE, key.id, details=details)

    async def store(session: AsyncClientSession) -> None:
        mine = ApiKey.owned_by(actor)
        if await ApiKey.find(mine, session=session).count() >= MAX_KEYS:
            raise TooManyKeys
        await key.insert(session=session)
        await AuditEntry.store([entry], session)

    await transaction(store, turn=("api_keys", actor.owner_id))
    return CreatedKey(key, secret)


async def list_mine(actor: Actor, recorder: Recorder) -> list[ApiKey]:
    """Return the actor's keys, newest first; expired ones for a month."""
    found = await ApiKey.find(ApiKey.owned_by(actor)).sort("-created_at").to_list()
    await recorder.record(audit.entry(actor, Action.API_KEY_LIST, details={"keys": len(found)}))
    return found


async def revoke(actor: Actor, *, key_id: ObjectId) -> None:
    """Revoke one of the actor's keys at once, everywhere.

    Raises:
        NotFound: the actor has no such key.
    """

    async def remove(session: AsyncClientSession) -> None:
        mine = ApiKey.owned_by(actor, _id=key_id)
        removed = await ApiKey.get_pymongo_collection().delete_one(mine, session=session)
        if not removed.deleted_count:
            raise NotFound("Key not found")
        await AuditEntry.store([audit.entry(actor, Action.API_KEY_REVOKE, key_id)], session)

    await transaction(remove, turn=("api_keys", actor.owner_id))


async def revoke_all(actor: Actor) -> int:
    """Revoke all of the actor's keys at once, everywhere; return how many."""

    async def remove(session: AsyncClientSession) -> int:
        mine = ApiKey.owned_by(actor)
        removed = await ApiKey.get_pymongo_collection().delete_many(mine, session=session)
        count = removed.deleted_count
        entry = audit.entry(actor, Action.API_KEY_REVOKE_ALL, details={"keys": count})
        await AuditEntry.store([entry], session)
        return count

    return await transaction(remove, turn=("api_keys", actor.owner_id))
