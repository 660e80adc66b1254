"""Operations on accounts, for their owners and for an operator at the command line."""

from datetime import timedelta

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.sessions import Session
from chatvault.accounts.throttle import LoginThrottle, RegistrationThrottle
from chatvault.accounts.usernames import fold, lookalike_keys
from chatvault.actor import Actor, Door, Role
from chatvault.addresses import holder_of
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.errors import (
    AlreadyTaken,
    BeingErased,
    Conflict,
    Denied,
    InvalidCredentials,
    NotAuthenticated,
    NotFound,
    RegistrationClosed,
    SignInAgain,
    Unavailable,
)
from chatvault.fields import now
from chatvault.mongodb.database import transaction

# Of the addresses of accounts for programs; RFC 2606 keeps it from ever existing.
NO_DOMAIN = "service.invalid"
# How long a sign-in counts as a proof of who somebody is, in place of a password.
NEW_SESSION = timedelta(minutes=10)


async def register(
    actor: Actor,
    hasher: PasswordHasher,
    throttle: RegistrationThrottle,
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
        Throttled: too many registrations from this address.
        AlreadyTaken: the username or the email address, without regard to case.
        Unavailable: too many passwords are being hashed.
    """
    if not is_open:
        raise RegistrationClosed
    await throttle.admit(address=actor.address)
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
    """Make an account with any role; for an operator.

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


async def create_for_programs(actor: Actor, *, username: str, role: Role = Role.USER) -> User:
    """Make an account that nobody can sign in to, and that API keys are made for; for an operator.

    Raises:
        AlreadyTaken: the username, without regard to case.
    """
    _require_operator(actor)
    await require_free(username, None)
    user_id = ObjectId()
    # No mail is ever sent there: the address only has to be another than everybody else's.
    email = f"{user_id}@{NO_DOMAIN}"
    user = User(
        _id=user_id,
        username=username,
        username_key=fold(username),
        lookalike_keys=lookalike_keys(username),
        email=email,
        email_key=email,
        password_hash="",
        role=role,
        is_service=True,
        created_at=now(),
    )
    await _store(actor, user)
    return user


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
    # Checked before the hash, which takes a quarter of a second.
    await require_free(username, email)
    user = new_user(
        username=username,
        email=email,
        full_name=full_name,
        password_hash=await hasher.hash(password, source=holder_of(actor.address)),
        role=role,
    )
    await _store(actor, user)
    return user


def new_user(
    *, username: str, email: str, full_name: str | None, password_hash: str, role: Role
) -> User:
    """Return the document of a new account of a person."""
    return User(
        username=username,
        username_key=fold(username),
        lookalike_keys=lookalike_keys(username),
        email=email,
        email_key=fold(email),
        full_name=full_name,
        password_hash=password_hash,
        role=role,
        created_at=now(),
    )


async def _store(actor: Actor, user: User) -> None:
    async def insert(session: AsyncClientSession) -> None:
        await user.insert(session=session)
        await _record(actor, Action.USER_CREATE, user.id, session)

    try:
        await transaction(insert)
    except DuplicateKeyError as error:
        raise taken(error, user.username, user.email) from None


async def require_free(
    username: str, email: str | None, *, besides: ObjectId | None = None
) -> None:
    """Raise if an account has the name, a name that looks like it, or the email address.

    Accounts older than this comparison have no `lookalike_keys`; an ASCII name is its own.

    Raises:
        AlreadyTaken: one has.
    """
    key, looks = fold(username), lookalike_keys(username)
    wanted: list[dict[str, object]] = [
        {"username_key": {"$in": [key, *looks]}},
        {"lookalike_keys": {"$in": looks}},
    ]
    if email is not None:
        wanted.append({"email_key": fold(email)})
    found = await User.find({"_id": {"$ne": besides}, "$or": wanted}).to_list()
    if any(user.username_key == key for user in found):
        raise AlreadyTaken(f"Username '{username}' already exists")
    if email is not None and any(user.email_key == fold(email) for user in found):
        raise AlreadyTaken(f"Email '{email}' already exists")
    if found:
        raise AlreadyTaken(f"Username '{username}' looks like one that exists")


def taken(error: DuplicateKeyError, username: str, email: str | None = None) -> AlreadyTaken:
    """Return the error for the unique index that refused an insert or update."""
    pattern = (error.details or {}).get("keyPattern", {})
    if "username_key" in pattern:
        return AlreadyTaken(f"Username '{username}' already exists")
    if "lookalike_keys" in pattern:
        return AlreadyTaken(f"Username '{username}' looks like one that exists")
    return AlreadyTaken(f"Email '{email}' already exists")


async def get_me(actor: Actor, recorder: Recorder) -> User:
    """Return the actor's own account.

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
    """Set a new password and end the actor's other sessions; return how many ended.

    Raises:
        Throttled: too many wrong passwords; the session stays valid.
        InvalidCredentials: the current password is wrong.
        Unavailable: too many passwords are being hashed; the try does not count.
    """
    user = await confirm_password(actor, hasher, throttle, password=current_password)
    hashed = await hasher.hash(new_password, source=holder_of(actor.address))

    async def change(session: AsyncClientSession) -> int:
        # The filter repeats the check: an operator may have set another password since.
        checked = {"password_hash": user.password_hash, "is_active": True}
        if await _set(user.id, {"password_hash": hashed}, session, checked) is None:
            raise InvalidCredentials("The current password is wrong")
        others = Session.owned_by(actor, _id={"$ne": actor.session_id})
        ended = await Session.get_pymongo_collection().delete_many(others, session=session)
        await _record(
            actor, Action.USER_PASSWORD, user.id, session, sessions_ended=ended.deleted_count
        )
        return ended.deleted_count

    return await transaction(change, turn=("user", user.id))


async def confirm_password(
    actor: Actor, hasher: PasswordHasher, throttle: LoginThrottle, *, password: str
) -> User:
    """Return the actor's account if this is its password.

    An account without one, whose owner signs in with an identity provider, needs a new session.

    Raises:
        SignInAgain: the account has no password, and the session is not new.
        Throttled: too many wrong passwords; the session stays valid.
        InvalidCredentials: the password is wrong.
        Unavailable: too many passwords are being hashed; the try does not count.
    """
    # A separate counter, so that guesses here and at the login do not add up to a lockout.
    account = f"password-{actor.owner_id}"
    source = holder_of(actor.address)
    await throttle.admit(account=account, address=actor.address)
    user = await User.get(actor.owner_id)
    if user is not None and not user.password_hash and user.oidc_subject is not None:
        await _require_new_session(actor)
        return user
    try:
        matches = user is not None and await hasher.verify(
            password, user.password_hash, source=source
        )
    except Unavailable:
        await throttle.withdraw(account=account, address=actor.address)
        raise
    if user is None or not matches:
        raise InvalidCredentials("The current password is wrong")
    await throttle.forgive(account=account, address=actor.address)
    return user


async def _require_new_session(actor: Actor) -> None:
    """Raise unless the actor has signed in within some minutes.

    Raises:
        SignInAgain: they have not.
    """
    new = Session.owned_by(actor, _id=actor.session_id, created_at={"$gt": now() - NEW_SESSION})
    if await Session.find_one(new) is None:
        raise SignInAgain


async def list_users(actor: Actor, recorder: Recorder) -> list[User]:
    """Return all accounts, oldest first; for an operator."""
    _require_operator(actor)
    users = await User.find_all().sort("+_id").to_list()
    await recorder.record(audit.entry(actor, Action.USER_LIST, details={"users": len(users)}))
    return users


async def find_by_username(username: str) -> User | None:
    """Return the account with this name, without regard to case."""
    return await User.find_one({"username_key": fold(username)})


async def find_by_name_or_id(text: str) -> User | None:
    """Return the account with this id or name.

    The id comes first: an older account may be called like another's id.
    """
    found = await User.get(ObjectId(text)) if ObjectId.is_valid(text) else None
    return found or await find_by_username(text)


async def rename(actor: Actor, *, username: str, new_username: str) -> User:
    """Rename an account; its sessions stay valid; for an operator.

    Raises:
        NotFound: no such user.
        AlreadyTaken: another account has the name, or one that looks like it.
    """
    _require_operator(actor)
    user = await get_by_name_or_id(username)
    await require_free(new_username, None, besides=user.id)
    fields: dict[str, object] = {
        "username": new_username,
        "username_key": fold(new_username),
        "lookalike_keys": lookalike_keys(new_username),
    }

    async def change(session: AsyncClientSession) -> User:
        renamed = await _set(user.id, fields, session)
        if renamed is None:
            raise _no_user(username)
        await _record(actor, Action.USER_RENAME, user.id, session)
        return renamed

    try:
        return await transaction(change, turn=("user", user.id))
    except DuplicateKeyError as error:
        raise taken(error, new_username) from None


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
        Conflict: the account is for programs.
    """
    _require_operator(actor)
    if (await get_by_name_or_id(username)).is_service:
        raise Conflict(f"{username} is for programs, and has API keys in place of a password.")
    hashed = await hasher.hash(password)
    return await _change(actor, username, {"password_hash": hashed}, Action.USER_PASSWORD)


async def _change(actor: Actor, username: str, fields: dict[str, object], action: Action) -> User:
    _require_operator(actor)
    user = await get_by_name_or_id(username)

    async def change(session: AsyncClientSession) -> User:
        changed = await _set(user.id, fields, session)
        if changed is None:
            raise _no_user(username)
        await Session.get_pymongo_collection().delete_many({"user_id": user.id}, session=session)
        await _record(actor, action, user.id, session)
        return changed

    return await transaction(change, turn=("user", user.id))


async def get_by_name_or_id(text: str) -> User:
    """Return the account with this id or name.

    Raises:
        NotFound: there is none.
        BeingErased: it is being erased.
    """
    user = await find_by_name_or_id(text)
    if user is None:
        raise _no_user(text)
    if user.erasure is not None:
        raise BeingErased
    return user


def _no_user(text: str) -> NotFound:
    return NotFound(f"There is no user {text!r}")


async def _set(
    user_id: ObjectId,
    fields: dict[str, object],
    session: AsyncClientSession,
    checked: dict[str, object] | None = None,
) -> User | None:
    stored = await User.get_pymongo_collection().find_one_and_update(
        {"_id": user_id, "erasure": None, **(checked or {})},
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
