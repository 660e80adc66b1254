"""What can be done with accounts, by their owners and by an operator at the command line."""

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.accounts.models import User, fold
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.throttle import LoginThrottle
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.database import transaction
from chatvault.errors import (
    AlreadyTaken,
    Denied,
    InvalidCredentials,
    NotAuthenticated,
    NotFound,
    RegistrationClosed,
)
from chatvault.fields import now
from chatvault.sessions.models import Session


async def register(
    actor: Actor,
    hasher: PasswordHasher,
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None,
    is_open: bool,
) -> User:
    """Make an account with the role `user`.

    Raises:
        RegistrationClosed: accounts are made by an operator only.
        AlreadyTaken: the username or the email address, without regard to case.
    """
    if not is_open:
        raise RegistrationClosed
    return await _insert(
        actor, hasher, username=username, email=email, password=password, full_name=full_name
    )


async def create(
    actor: Actor,
    hasher: PasswordHasher,
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None = None,
    role: Role = Role.USER,
) -> User:
    """Make an account of any role; for an operator.

    Raises:
        AlreadyTaken: the username or the email address, without regard to case.
    """
    _require_operator(actor)
    return await _insert(
        actor,
        hasher,
        username=username,
        email=email,
        password=password,
        full_name=full_name,
        role=role,
    )


async def _insert(
    actor: Actor,
    hasher: PasswordHasher,
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None,
    role: Role = Role.USER,
) -> User:
    user = User(
        username=username,
        username_key=fold(username),
        email=email,
        email_key=fold(email),
        full_name=full_name,
        password_hash=await hasher.hash(password),
        role=role,
        created_at=now(),
    )

    async def insert(session: AsyncClientSession) -> None:
        await user.insert(session=session)
        await _record(actor, Action.USER_CREATE, user.id, session)

    try:
        await transaction(insert)
    except DuplicateKeyError as error:
        if "username_key" in (error.details or {}).get("keyPattern", {}):
            raise AlreadyTaken(f"Username '{username}' already exists") from None
        raise AlreadyTaken(f"Email '{email}' already exists") from None
    return user


async def get_me(actor: Actor, recorder: Recorder) -> User:
    """The actor's own account.

    Raises:
        NotAuthenticated: nobody is signed in, or the account is gone.
    """
    user = await User.get(actor.owner_id)
    if user is None:
        raise NotAuthenticated
    await recorder.record(audit.entry(actor, Action.USER_GET, user.id))
    return user


async def change_password(
    actor: Actor,
    hasher: PasswordHasher,
    throttle: LoginThrottle,
    *,
    current_password: str,
    new_password: str,
) -> int:
    """Set a new password and end the actor's other sessions; returns how many those were.

    Raises:
        Throttled: too many wrong ones; the session itself goes on.
        InvalidCredentials: the current password is wrong.
    """
    # A name of its own, so that guesses here and at the login do not add up to lock one out.
    account = f"password-{actor.owner_id}"
    await throttle.admit(account=account, address=actor.address)
    user = await User.get(actor.owner_id)
    if user is None or not await hasher.verify(current_password, user.password_hash):
        raise InvalidCredentials("The current password is wrong")
    await throttle.forgive(account=account, address=actor.address)
    hashed = await hasher.hash(new_password)

    async def change(session: AsyncClientSession) -> int:
        # The filter repeats what was checked: an operator may have set another one since.
        checked = {"password_hash": user.password_hash, "is_active": True}
        if await _set(user.id, {"password_hash": hashed}, session, checked) is None:
            raise InvalidCredentials("The current password is wrong")
        others = Session.owned_by(actor, _id={"$ne": actor.session_id})
        ended = await Session.get_pymongo_collection().delete_many(others, session=session)
        await _record(
            actor, Action.USER_PASSWORD, user.id, session, sessions_ended=ended.deleted_count
        )
        return ended.deleted_count

    return await transaction(change)


async def list_users(actor: Actor, recorder: Recorder) -> list[User]:
    """Every account, oldest first; for an operator."""
    _require_operator(actor)
    users = await User.find_all().sort("+_id").to_list()
    await recorder.record(audit.entry(actor, Action.USER_LIST, details={"users": len(users)}))
    return users


async def find_by_username(username: str) -> User | None:
    """The account with this name, without regard to case."""
    return await User.find_one({"username_key": fold(username)})


async def find_by_name_or_id(text: str) -> User | None:
    """The account with this name or id."""
    found = await find_by_username(text)
    if found is None and ObjectId.is_valid(text):
        found = await User.get(ObjectId(text))
    return found


async def change_role(actor: Actor, *, username: str, role: Role) -> User:
    """Give a role and end the user's sessions, which carry the old one; for an operator.

    Raises:
        NotFound: no such user.
    """
    return await _change(actor, username, {"role": role.value}, Action.USER_ROLE)


async def set_active(actor: Actor, *, username: str, is_active: bool) -> User:
    """Close an account, ending its sessions, or open it again; for an operator.

    Raises:
        NotFound: no such user.
    """
    action = Action.USER_ACTIVATE if is_active else Action.USER_DEACTIVATE
    return await _change(actor, username, {"is_active": is_active}, action)


async def set_password(
    actor: Actor, hasher: PasswordHasher, *, username: str, password: str
) -> User:
    """Set a password without the old one and end the user's sessions; for an operator.

    Raises:
        NotFound: no such user.
    """
    hashed = await hasher.hash(password)
    return await _change(actor, username, {"password_hash": hashed}, Action.USER_PASSWORD)


async def _change(actor: Actor, username: str, fields: dict[str, object], action: Action) -> User:
    _require_operator(actor)
    user = await find_by_username(username)
    if user is None:
        raise NotFound(f"There is no user {username!r}")

    async def change(session: AsyncClientSession) -> User:
        changed = await _set(user.id, fields, session)
        if changed is None:
            raise NotFound(f"There is no user {username!r}")
        await Session.get_pymongo_collection().delete_many({"user_id": user.id}, session=session)
        await _record(actor, action, user.id, session)
        return changed

    return await transaction(change)


async def _set(
    user_id: ObjectId,
    fields: dict[str, object],
    session: AsyncClientSession,
    checked: dict[str, object] | None = None,
) -> User | None:
    stored = await User.get_pymongo_collection().find_one_and_update(
        {"_id": user_id, **(checked or {})},
        {"$set": fields},
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    return None if stored is None else User.model_validate(stored)


async def _record(
    actor: Actor,
    action: Action,
    user_id: ObjectId,
    session: AsyncClientSession,
    **details: int,
) -> None:
    entry = audit.entry(actor, action, user_id, details=details or None)
    await AuditEntry.store([entry], session)


def _require_operator(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        raise Denied
