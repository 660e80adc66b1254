"""Managing accounts, for administrators and for an operator at the command line."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.accounts import administrators
from chatvault.accounts import service as accounts
from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.sessions import Session
from chatvault.accounts.usernames import fold, lookalike_keys
from chatvault.actor import Actor, Door, Role
from chatvault.addresses import holder_of
from chatvault.administration import tokens
from chatvault.administration.models import Purpose, new_token
from chatvault.administration.schemas import FirstAdminIn, NewUserIn, UserChangeIn
from chatvault.api_keys.models import ApiKey
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.models import Conversation
from chatvault.errors import BeingErased, Conflict, NotFound, SessionRequired
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction
from chatvault.mongodb.rates import Rate


@dataclass(frozen=True, slots=True)
class Shown:
    """An account, and the numbers of what it has.

    Attributes:
        conversations: those in the trash included.
        bytes: of the messages.
    """

    user: User
    sessions: int
    api_keys: int
    conversations: int
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A token with which a password is set; `token` is stored nowhere."""

    token: str
    expires_at: datetime


def _require_admin(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        actor.require_role(Role.ADMIN)


async def get_user(actor: Actor, recorder: Recorder, *, user_id: ObjectId) -> Shown:
    """Return an account; itself audited.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user.
    """
    _require_admin(actor)
    user = await _find(user_id)
    open_sessions = {"user_id": user_id, "expires_at": {"$gt": now()}}
    shown = Shown(
        user,
        await Session.get_pymongo_collection().count_documents(open_sessions),
        await ApiKey.get_pymongo_collection().count_documents({"user_id": user_id}),
        **await _count_stored(user_id),
    )
    await recorder.record(audit.entry(actor, Action.USER_GET, user_id))
    return shown


async def _count_stored(user_id: ObjectId) -> dict[str, int]:
    sums = {
        "conversations": {"$sum": 1},
        "messages": {"$sum": "$total_messages"},
        "bytes": {"$sum": "$message_bytes"},
    }
    pipeline: list[Raw] = [{"$match": {"user_id": user_id}}, {"$group": {"_id": None, **sums}}]
    found = await (await Conversation.get_pymongo_collection().aggregate(pipeline)).to_list()
    return {name: int(found[0][name]) if found else 0 for name in sums}


async def create_user(
    actor: Actor,
    hasher: PasswordHasher,
    *,
    wanted: NewUserIn,
    idempotency_key: IdempotencyKey | None = None,
) -> User:
    """Make an account; without a password nobody can sign in to it until one is set.

    Raises:
        Denied: the actor is no administrator.
        SessionRequired: an API key would make an administrator or auditor.
        AlreadyTaken: the username or the email address, without regard to case.
        KeyReused: the key came with another request.
    """
    _require_admin(actor)
    _require_session_for(actor, wanted.role)
    known = idempotency_key and _idempotent(idempotency_key)
    hashed = ""
    if wanted.password is not None:
        hashed = await hasher.hash(wanted.password, source=holder_of(actor.address))
    user = accounts.new_user(
        username=wanted.username,
        email=wanted.email,
        full_name=wanted.full_name,
        password_hash=hashed,
        role=wanted.role,
    )

    async def insert(session: AsyncClientSession) -> User:
        await accounts.require_free(wanted.username, wanted.email)
        await user.insert(session=session)
        await _record(actor, Action.USER_CREATE, user.id, session, role=wanted.role.value)
        return user

    try:
        return await transaction(
            lambda session: act_once(actor, Action.USER_CREATE, known, session, insert)
        )
    except DuplicateKeyError as error:
        raise accounts.taken(error, wanted.username, wanted.email) from None


def _require_session_for(actor: Actor, role: Role | None) -> None:
    """Raise if an API key would grant more than the rights of a user.

    Raises:
        SessionRequired: it would.
    """
    if actor.key_id is not None and role not in {None, Role.USER}:
        raise SessionRequired


def _idempotent(idempotency_key: IdempotencyKey) -> Idempotent[User]:
    async def find(user_id: ObjectId, session: AsyncClientSession) -> User:
        found = await User.get_pymongo_collection().find_one({"_id": user_id}, session=session)
        if found is None:
            raise NotFound("There is no such user")
        user: User = User.model_validate(found)
        return user

    return Idempotent.by_id(
        idempotency_key, "user_id", id_of=lambda user: user.id, find=find, target="user_id"
    )


async def change_user(actor: Actor, *, user_id: ObjectId, wanted: UserChangeIn) -> User:
    """Change a role, close or open an account, or rename it.

    A new role or closing ends the sessions, and what they and the account's keys have open.

    Raises:
        Denied: the actor is no administrator.
        SessionRequired: an API key would make an administrator or auditor.
        NotFound: there is no such user.
        BeingErased: the account is being erased.
        AlreadyTaken: another account has the name, or one that looks like it.
        LastAdministrator: nobody else administrates.
    """
    _require_admin(actor)
    _require_session_for(actor, wanted.role)
    fields = wanted.model_dump(exclude_unset=True, mode="json")
    if wanted.username is not None:
        await accounts.require_free(wanted.username, None, besides=user_id)
        fields |= {
            "username_key": fold(wanted.username),
            "lookalike_keys": lookalike_keys(wanted.username),
        }

    async def change(session: AsyncClientSession) -> User:
        before = await _read_kept(user_id, session)
        demoted = wanted.role not in {None, before.role} or wanted.is_active is False
        if before.role is Role.ADMIN and before.is_active and demoted:
            await administrators.require_another(user_id, session)
        changed = await _set(user_id, fields, session)
        ended = await _end_sessions(user_id, session) if demoted else 0
        await _record(
            actor,
            Action.USER_UPDATE,
            user_id,
            session,
            fields=sorted(wanted.model_fields_set),
            role=changed.role.value,
            is_active=changed.is_active,
            sessions_ended=ended,
        )
        return changed

    try:
        return await transaction(change, turn=("user", user_id))
    except DuplicateKeyError as error:
        raise accounts.taken(error, wanted.username or "") from None


async def end_sessions(actor: Actor, *, user_id: ObjectId) -> int:
    """End a user's sessions at once, everywhere; return how many.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user.
    """
    return await _remove_all(actor, user_id, Action.USER_END_SESSIONS, _end_sessions)


async def revoke_keys(actor: Actor, *, user_id: ObjectId) -> int:
    """Revoke a user's API keys at once, everywhere; return how many.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user.
    """
    return await _remove_all(actor, user_id, Action.USER_REVOKE_KEYS, _revoke_keys)


async def _remove_all(
    actor: Actor,
    user_id: ObjectId,
    action: Action,
    remove: Callable[[ObjectId, AsyncClientSession], Awaitable[int]],
) -> int:
    _require_admin(actor)
    await _find(user_id)

    async def carry(session: AsyncClientSession) -> int:
        removed = await remove(user_id, session)
        await _record(actor, action, user_id, session, removed=removed)
        return removed

    return await transaction(carry, turn=("user", user_id))


async def create_reset(actor: Actor, *, user_id: ObjectId) -> Reset:
    """Make a token with which the user sets a password; one that was made before is void.

    Raises:
        Denied: the actor is no administrator.
        NotFound: there is no such user.
        BeingErased: the account is being erased.
        Conflict: the account is for programs, or closed.
    """
    _require_admin(actor)

    async def store(session: AsyncClientSession) -> Reset:
        user = await _read_kept(user_id, session)
        if user.is_service:
            raise Conflict("The account is for programs, and has API keys in place of a password.")
        if not user.is_active:
            raise Conflict("The account is closed; open it first.")
        made, token = new_token(Purpose.PASSWORD, user_id)
        await tokens.replace(made, session)
        await _record(actor, Action.USER_CREATE_RESET, user_id, session)
        return Reset(token, made["expires_at"])

    return await transaction(store, turn=("user", user_id))


async def reset_password(
    actor: Actor, hasher: PasswordHasher, rate: Rate, *, token: str, new_password: str
) -> None:
    """Set a password by a token, and end the account's sessions.

    Raises:
        Throttled: too many tries from this address.
        InvalidToken: the token is wrong, was used or has expired, or the account is closed.
        Unavailable: too many passwords are being hashed; the token can still be used.
    """
    source = holder_of(actor.address)
    await rate.admit(source)
    found = await tokens.find(token, Purpose.PASSWORD)
    hashed = await hasher.hash(new_password, source=source)
    user_id = found["user_id"]
    owner = replace(actor, user_id=user_id)

    async def store(session: AsyncClientSession) -> None:
        await tokens.use(found, session)
        changed = await User.get_pymongo_collection().update_one(
            {"_id": user_id, "erasure": None, "is_active": True},
            {"$set": {"password_hash": hashed}},
            session=session,
        )
        if not changed.matched_count:
            raise tokens.InvalidToken
        ended = await _end_sessions(user_id, session)
        await _record(owner, Action.USER_RESET_PASSWORD, user_id, session, sessions_ended=ended)

    await transaction(store, turn=("user", user_id))


async def become_first_admin(
    actor: Actor, hasher: PasswordHasher, rate: Rate, *, wanted: FirstAdminIn
) -> User:
    """Make the account of the first administrator, by the token printed at the first start.

    Raises:
        Throttled: too many tries from this address.
        InvalidToken: the token is wrong, was used or has expired, or somebody administrates.
        AlreadyTaken: the username or the email address, without regard to case.
    """
    source = holder_of(actor.address)
    await rate.admit(source)
    found = await tokens.find(wanted.token, Purpose.FIRST_ADMIN)
    await accounts.require_free(wanted.username, wanted.email)
    user = accounts.new_user(
        username=wanted.username,
        email=wanted.email,
        full_name=None,
        password_hash=await hasher.hash(wanted.password, source=source),
        role=Role.ADMIN,
    )

    async def store(session: AsyncClientSession) -> User:
        await tokens.use(found, session)
        if await administrators.exists(session):
            raise tokens.InvalidToken
        await user.insert(session=session)
        owner = replace(actor, user_id=user.id, role=user.role)
        await _record(owner, Action.USER_CREATE, user.id, session, role=user.role.value)
        return user

    try:
        return await transaction(store)
    except DuplicateKeyError as error:
        raise accounts.taken(error, wanted.username, wanted.email) from None


async def _find(user_id: ObjectId) -> User:
    user = await User.get(user_id)
    if user is None:
        raise NotFound("There is no such user")
    return user


async def _read_kept(user_id: ObjectId, session: AsyncClientSession) -> User:
    """Return the account as the transaction sees it.

    Raises:
        NotFound: there is none.
        BeingErased: it is being erased.
    """
    found = await User.get_pymongo_collection().find_one({"_id": user_id}, session=session)
    if found is None:
        raise NotFound("There is no such user")
    user: User = User.model_validate(found)
    if user.erasure is not None:
        raise BeingErased
    return user


async def _set(user_id: ObjectId, fields: Raw, session: AsyncClientSession) -> User:
    stored = await User.get_pymongo_collection().find_one_and_update(
        {"_id": user_id, "erasure": None},
        {"$set": fields},
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    if stored is None:
        raise NotFound("There is no such user")
    user: User = User.model_validate(stored)
    return user


async def _end_sessions(user_id: ObjectId, session: AsyncClientSession) -> int:
    ended = await Session.get_pymongo_collection().delete_many(
        {"user_id": user_id}, session=session
    )
    return ended.deleted_count


async def _revoke_keys(user_id: ObjectId, session: AsyncClientSession) -> int:
    revoked = await ApiKey.get_pymongo_collection().delete_many(
        {"user_id": user_id}, session=session
    )
    return revoked.deleted_count


async def _record(
    actor: Actor, action: Action, user_id: ObjectId, session: AsyncClientSession, **details: object
) -> None:
    entry = audit.entry(actor, action, user_id, details=details or None)
    await AuditEntry.store([entry], session)
