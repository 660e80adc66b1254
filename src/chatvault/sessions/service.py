"""Signing in and out, and listing and ending one's sessions."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts import service as accounts
from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.sessions import Session, hash_token
from chatvault.accounts.throttle import LoginThrottle
from chatvault.accounts.usernames import fold
from chatvault.actor import Actor
from chatvault.addresses import holder_of
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry, Entry
from chatvault.audit.recorder import Recorder
from chatvault.errors import InvalidCredentials, NotFound, PasswordsOff, Unavailable
from chatvault.fields import Raw, now
from chatvault.keys import SecretKey
from chatvault.mongodb.database import transaction


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A successful login; `token` is the cookie's value and is stored nowhere else."""

    user: User
    session: Session
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginDeps:
    """The dependencies of a login.

    Attributes:
        hasher: checks passwords.
        throttle: limits the attempts.
        key: hashes names that are unknown.
        lifetime: of sessions.
        takes_passwords: whether anybody signs in with a password.
    """

    hasher: PasswordHasher
    throttle: LoginThrottle
    key: SecretKey
    lifetime: timedelta
    takes_passwords: bool = True


async def login(actor: Actor, deps: LoginDeps, *, username: str, password: str) -> SignedIn:
    """Open a session, and end the one that the actor came with, if any.

    An unknown name and a wrong password take the same time and get the same answer.

    Raises:
        PasswordsOff: nobody signs in with a password here.
        InvalidCredentials: name or password is wrong, or the account is closed.
        Throttled: too many attempts.
        Unavailable: too many passwords are being checked; the attempt does not count.
    """
    if not deps.takes_passwords:
        raise PasswordsOff
    account = deps.key.hash(fold(username))
    await deps.throttle.admit(account=account, address=actor.address)
    user = await accounts.find_by_username(username)
    # An account for programs has no password; it takes as long to say so.
    hashed = (user.password_hash or None) if user else None
    try:
        matches = await deps.hasher.verify(password, hashed, source=holder_of(actor.address))
    except Unavailable:
        await deps.throttle.withdraw(account=account, address=actor.address)
        raise
    if user is None:
        raise InvalidCredentials(recorded={"name_hash": account})
    if not matches or not user.is_active:
        raise InvalidCredentials(resource_id=str(user.id))
    signed_in = await open_for(actor, user, deps.lifetime)
    await deps.throttle.forgive(account=account, address=actor.address)
    return signed_in


async def open_for(
    actor: Actor, user: User, lifetime: timedelta, *, oidc_session: str | None = None
) -> SignedIn:
    """Open a session for somebody who has proved who they are; end the one they came with.

    Args:
        actor: the caller.
        user: who they are.
        lifetime: of the session.
        oidc_session: the identity provider's session that they signed in with.

    Raises:
        InvalidCredentials: the account has changed since they proved it.
    """
    token = secrets.token_urlsafe(32)
    at = now()
    opened = Session(
        user_id=user.id,
        token_hash=hash_token(token),
        role=user.role,
        created_at=at,
        last_seen_at=at,
        expires_at=at + lifetime,
        address=actor.address,
        user_agent=actor.user_agent,
        oidc_session=oidc_session,
    )
    user.last_login = at
    insider = replace(actor, user_id=user.id, role=user.role, session_id=opened.id)
    entry = audit.entry(insider, Action.SESSION_LOGIN, opened.id)

    async def store(session: AsyncClientSession) -> None:
        # The filter repeats the check: the account may have changed since.
        unchanged = {"_id": user.id, "password_hash": user.password_hash, "is_active": True}
        stored = await User.get_pymongo_collection().update_one(
            {**unchanged, "role": user.role.value}, {"$set": {"last_login": at}}, session=session
        )
        if not stored.matched_count:
            raise InvalidCredentials(resource_id=str(user.id))
        if actor.session_id is not None:
            await _delete(actor, [actor.session_id], session)
        await opened.insert(session=session)
        await AuditEntry.store([entry], session)

    await transaction(store, turn=("user", user.id))
    return SignedIn(user, opened, token)


async def logout(actor: Actor) -> None:
    """End the actor's session."""
    await _end(actor, [actor.session_id], Action.SESSION_LOGOUT)


async def end_by_provider(actor: Actor, which: Raw) -> int:
    """End sessions that a person began with the identity provider; return how many ended.

    Args:
        actor: the person, as the provider names them.
        which: a condition on the sessions; empty for all that began so.
    """
    theirs = Session.owned_by(actor, **({"oidc_session": {"$ne": None}} | which))
    ids: list[ObjectId | None] = [each.id for each in await Session.find(theirs).to_list()]
    return await _end(actor, ids, Action.SESSION_END_BY_PROVIDER)


async def list_mine(actor: Actor, recorder: Recorder) -> list[Session]:
    """Return the actor's sessions that have not ended, newest first."""
    query = Session.owned_by(actor, expires_at={"$gt": now()})
    found = await Session.find(query).sort("-created_at").to_list()
    await recorder.record(audit.entry(actor, Action.SESSION_LIST, details={"sessions": len(found)}))
    return found


async def revoke(actor: Actor, *, session_id: ObjectId) -> None:
    """End one of the actor's sessions at once, everywhere.

    Raises:
        NotFound: the actor has no such session.
    """
    if not await _end(actor, [session_id], Action.SESSION_REVOKE):
        raise NotFound("Session not found")


async def revoke_others(actor: Actor) -> int:
    """End the actor's other sessions; return how many ended."""
    others = Session.owned_by(actor, _id={"$ne": actor.session_id})
    ids: list[ObjectId | None] = [each.id for each in await Session.find(others).to_list()]
    return await _end(actor, ids, Action.SESSION_REVOKE_OTHERS)


async def _end(actor: Actor, ids: list[ObjectId | None], action: Action) -> int:
    target = ids[0] if len(ids) == 1 else None

    async def end(session: AsyncClientSession) -> int:
        ended = await _delete(actor, ids, session)
        if ended or action is not Action.SESSION_REVOKE:
            entry: Entry = audit.entry(actor, action, target, details={"sessions": ended})
            await AuditEntry.store([entry], session)
        return ended

    return await transaction(end, turn=("sessions", actor.owner_id))


async def _delete(actor: Actor, ids: list[ObjectId | None], session: AsyncClientSession) -> int:
    result = await Session.get_pymongo_collection().delete_many(
        Session.owned_by(actor, _id={"$in": ids}), session=session
    )
    return result.deleted_count
