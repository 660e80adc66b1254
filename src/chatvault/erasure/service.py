"""Begin erasures, and tell how far they are."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.accounts import administrators
from chatvault.accounts import service as accounts
from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.sessions import Session
from chatvault.accounts.throttle import LoginThrottle
from chatvault.actor import Actor, Door, Role
from chatvault.api_keys.models import ApiKey
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.links import end_links
from chatvault.erasure.errors import HeldForLaw, ServiceAccount
from chatvault.erasure.holding import erasable
from chatvault.erasure.models import Erasure
from chatvault.errors import BeingErased, Denied, InvalidCredentials, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction

LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureDeps:
    """The dependencies of erasures that begin here.

    Attributes:
        hasher: checks the password.
        throttle: counts wrong passwords.
        recorder: takes the audit entries of reads.
        due: set when one begins.
    """

    hasher: PasswordHasher
    throttle: LoginThrottle
    recorder: Recorder
    due: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Begun:
    """An erasure that began; `token` reads it without an account, and is stored nowhere."""

    erasure: Raw
    token: str


async def begin_mine(actor: Actor, deps: ErasureDeps, *, password: str) -> Begun:
    """Close the actor's account and begin its erasure.

    Raises:
        Throttled: too many wrong passwords; the session stays valid.
        InvalidCredentials: the password is wrong.
        HeldForLaw: a hold forbids it.
        LastAdministrator: nobody else administrates.
        BeingErased: it is being erased already.
    """
    user = await accounts.confirm_password(actor, deps.hasher, deps.throttle, password=password)
    begun = await _begin(actor, user)
    deps.due.set()
    return begun


async def begin(actor: Actor, *, username: str) -> Begun:
    """Close an account and begin its erasure; for an operator.

    Raises:
        NotFound: no such user.
        HeldForLaw: a hold forbids it.
        LastAdministrator: nobody else administrates.
        ServiceAccount: the account is for programs.
        BeingErased: it is being erased already.
    """
    require_operator(actor)
    return await _begin(actor, await accounts.get_by_name_or_id(username))


async def begin_for(actor: Actor, deps: ErasureDeps, *, user_id: ObjectId) -> Begun:
    """Close an account and begin its erasure; for an administrator.

    Raises:
        Denied: the actor is no administrator.
        NotFound: no such user.
        HeldForLaw: a hold forbids it.
        LastAdministrator: nobody else administrates.
        ServiceAccount: the account is for programs.
        BeingErased: it is being erased already.
    """
    actor.require_role(Role.ADMIN)
    user = await User.get(user_id)
    if user is None:
        raise NotFound("There is no such user")
    if user.erasure is not None:
        raise BeingErased
    begun = await _begin(actor, user)
    deps.due.set()
    return begun


async def _begin(actor: Actor, user: User) -> Begun:
    if user.is_service:
        raise ServiceAccount
    token, at = secrets.token_urlsafe(32), now()
    begun = Erasure(user_id=user.id, token_hash=_hash(token), due_at=at, started_at=at)

    owner = Access.of(Actor(door=Door.BACKGROUND, user_id=user.id))

    async def close(session: AsyncClientSession) -> None:
        await _close(user, begun.id, session)
        if not await erasable(user.id, session):
            raise HeldForLaw
        mine = {"user_id": user.id}
        sessions = await Session.get_pymongo_collection().delete_many(mine, session=session)
        keys = await ApiKey.get_pymongo_collection().delete_many(mine, session=session)
        ended = {
            "sessions": sessions.deleted_count,
            "api_keys": keys.deleted_count,
            "links": await end_links(owner, session),
        }
        begun.counts = {name: count for name, count in ended.items() if count}
        await begun.insert(session=session)
        details = {"erasure": str(begun.id)}
        entry = audit.entry(actor, Action.USER_ERASE, user.id, details=details)
        await AuditEntry.store([entry], session)

    await transaction(close, turn=("user", user.id))
    stored = await Erasure.find_raw(begun.id)
    return Begun(stored or begun.model_dump(by_alias=True), token)


async def _close(user: User, erasure_id: ObjectId, session: AsyncClientSession) -> None:
    """Close the account, so that nobody signs in to it, or gives its name to another."""
    users = User.get_pymongo_collection()
    # The filter repeats the check of the password: an operator may have set another since.
    same = {"_id": user.id, "password_hash": user.password_hash, "erasure": None}
    closed = {"is_active": False, "erasure": erasure_id}
    stored = await users.find_one_and_update(same, {"$set": closed}, session=session)
    if stored is None:
        raise BeingErased if await _is_being_erased(user.id, session) else InvalidCredentials
    if stored["role"] == Role.ADMIN and stored["is_active"]:
        await administrators.require_another(user.id, session)


async def _is_being_erased(user_id: ObjectId, session: AsyncClientSession) -> bool:
    user = await User.get_pymongo_collection().find_one({"_id": user_id}, session=session)
    return user is not None and user.get("erasure") is not None


async def get_with_token(
    actor: Actor, recorder: Recorder, *, erasure_id: ObjectId, token: str
) -> Raw:
    """Return an erasure to whoever has its token.

    Raises:
        NotFound: there is none, or the token is another's.
    """
    found = await Erasure.find_raw(erasure_id)
    expected = (found or {}).get("token_hash") or b""
    if found is None or not hmac.compare_digest(expected, _hash(token)):
        raise NotFound("Erasure not found")
    await recorder.record(audit.entry(actor, Action.USER_GET_ERASURE, erasure_id))
    return found


async def list_all(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return the newest erasures, the newest first; for an operator."""
    require_operator(actor)
    found = Erasure.get_pymongo_collection().find({}).sort("started_at", -1).limit(LISTED)
    erasures: list[Raw] = await found.to_list()
    details = {"erasures": len(erasures)}
    await recorder.record(audit.entry(actor, Action.USER_LIST_ERASURES, details=details))
    return erasures


def background_actor() -> Actor:
    """Return the actor of the entries that finish an erasure: the person has no account."""
    return Actor(door=Door.BACKGROUND)


def require_operator(actor: Actor) -> None:
    """Raise unless the actor is at the command line.

    Raises:
        Denied: they are not.
    """
    if actor.door is not Door.CLI:
        raise Denied


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
