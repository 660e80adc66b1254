"""Accounts of people who sign in with an identity provider.

An account belongs to an identity by the provider and the id there, never by the e-mail address:
who has an address may change.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from bson import ObjectId
from pydantic import EmailStr, TypeAdapter, ValidationError
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from chatvault.accounts.models import User
from chatvault.accounts.schemas import FullName, Username
from chatvault.accounts.service import NO_DOMAIN
from chatvault.accounts.sessions import Session
from chatvault.accounts.usernames import MAX_USERNAME, fold, lookalike_keys
from chatvault.actor import Actor, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.errors import Busy, NotFound
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction

# Names that are tried with a number, when others have the name.
NUMBERS = 50
_USERNAME = TypeAdapter[str](Username)
_EMAIL = TypeAdapter[str](EmailStr)
_FULL_NAME = TypeAdapter[str](FullName)


@dataclass(frozen=True, slots=True)
class Person:
    """The description of somebody by an identity provider.

    Attributes:
        issuer: the provider.
        subject: the id there.
        names: what they may be called here, the best first.
        email: their address, if the provider vouches for it.
        full_name: their name.
    """

    issuer: str
    subject: str
    names: tuple[str, ...]
    email: str | None
    full_name: str | None


async def find_by_identity(issuer: str, subject: str) -> User | None:
    """Return the account of an identity."""
    return await User.find_one({"oidc_issuer": issuer, "oidc_subject": subject})


async def has_email(email: str) -> bool:
    """Whether an account has this address, without regard to case."""
    return await User.find_one({"email_key": fold(email)}) is not None


def usable_email(text: str | None) -> str | None:
    """Return an address if it is one."""
    try:
        return _EMAIL.validate_python(text)
    except ValidationError:
        return None


async def create(actor: Actor, person: Person, role: Role) -> User:
    """Make an account without a password for an identity; return it.

    Args:
        actor: the caller, whom nobody knows yet.
        person: whose account.
        role: its role.

    Raises:
        Busy: no free name was found, or another request made the account.
    """
    for name in _names(person):
        user_id = ObjectId()
        email = person.email or f"{user_id}@{NO_DOMAIN}"
        user = User(
            _id=user_id,
            username=name,
            username_key=fold(name),
            lookalike_keys=lookalike_keys(name),
            email=email,
            email_key=fold(email),
            full_name=_usable_full_name(person.full_name),
            password_hash="",
            role=role,
            oidc_issuer=person.issuer,
            oidc_subject=person.subject,
            created_at=now(),
        )
        try:
            await transaction(partial(_insert, actor, user))
        except DuplicateKeyError as error:
            pattern = (error.details or {}).get("keyPattern", {})
            if not {"username_key", "lookalike_keys"} & pattern.keys():
                break
        else:
            return user
    raise Busy(retry_after=1)


async def _insert(actor: Actor, user: User, session: AsyncClientSession) -> None:
    await user.insert(session=session)
    details = {"oidc": True}
    entry = audit.entry(actor, Action.USER_CREATE, user.id, details=details)
    await AuditEntry.store([entry], session)


def _names(person: Person) -> Iterator[str]:
    """Yield usable names: as the provider has them, then the first of these with numbers."""
    usable = [name for each in person.names if (name := _usable_name(each))] or ["user"]
    yield from usable
    for number in range(2, NUMBERS + 2):
        yield f"{usable[0][: MAX_USERNAME - 2]}{number}"


def _usable_name(text: str) -> str | None:
    try:
        return _USERNAME.validate_python(text)
    except ValidationError:
        return None


def _usable_full_name(text: str | None) -> str | None:
    try:
        return None if text is None else _FULL_NAME.validate_python(text)
    except ValidationError:
        return None


async def link(actor: Actor, *, issuer: str, subject: str) -> User | None:
    """Give the actor's account an identity; return the account, or None if it has one already.

    Raises:
        DuplicateKeyError: another account has this identity.
    """
    free = {"_id": actor.owner_id, "oidc_subject": None, "erasure": None, "is_active": True}
    fields = {"oidc_issuer": issuer, "oidc_subject": subject}
    return await _change(actor, free, fields, Action.USER_LINK_IDENTITY)


async def unlink(
    actor: Actor, also: Callable[[AsyncClientSession], Awaitable[None]]
) -> User | None:
    """Take the identity from the actor's account, unless nobody could sign in to it then.

    Args:
        actor: whose account.
        also: what is changed with it, in its transaction.

    Raises:
        NotFound: the account is gone.
    """
    if await User.get(actor.owner_id) is None:
        raise NotFound("User not found")
    others = {"_id": actor.owner_id, "password_hash": {"$ne": ""}, "erasure": None}
    fields = {"oidc_issuer": None, "oidc_subject": None}
    return await _change(actor, others, fields, Action.USER_UNLINK_IDENTITY, also=also)


async def take_role(actor: Actor, user: User, role: Role) -> User:
    """Give an account the role that the provider says, and end its sessions with the old one.

    Raises:
        NotFound: the account is gone.
    """
    if user.role is role:
        return user
    which = {"_id": user.id, "erasure": None}
    changed = await _change(actor, which, {"role": role.value}, Action.USER_ROLE, ends=user.id)
    if changed is None:
        raise NotFound("User not found")
    return changed


async def _change(
    actor: Actor,
    which: Raw,
    fields: Raw,
    action: Action,
    *,
    ends: ObjectId | None = None,
    also: Callable[[AsyncClientSession], Awaitable[None]] | None = None,
) -> User | None:
    async def change(session: AsyncClientSession) -> User | None:
        stored = await User.get_pymongo_collection().find_one_and_update(
            which, {"$set": fields}, return_document=True, session=session
        )
        if stored is None:
            return None
        if ends is not None:
            await Session.get_pymongo_collection().delete_many({"user_id": ends}, session=session)
        if also is not None:
            await also(session)
        entry = audit.entry(actor, action, stored["_id"], details={"oidc": True})
        await AuditEntry.store([entry], session)
        user: User = User.model_validate(stored)
        return user

    return await transaction(change, turn=("user", which["_id"]))
