"""Making and using one-time tokens."""

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts.models import User
from chatvault.administration.models import (
    TOKENS,
    OneTimeToken,
    Purpose,
    hash_token,
    new_token,
)
from chatvault.errors import NotAuthenticated
from chatvault.fields import Raw, now
from chatvault.mongodb.database import Client


class InvalidToken(NotAuthenticated):
    """The token is wrong, has been used, or has expired; ask for another."""

    code = "invalid_token"


async def find(token: str, purpose: Purpose) -> Raw:
    """Return the document of a token that can be used.

    Raises:
        InvalidToken: there is none.
    """
    which = {"token_hash": hash_token(token), "purpose": purpose, "expires_at": {"$gt": now()}}
    found: Raw | None = await OneTimeToken.get_pymongo_collection().find_one(which)
    if found is None:
        raise InvalidToken
    return found


async def use(found: Raw, session: AsyncClientSession) -> None:
    """Remove a token within the transaction that does what it is for.

    Raises:
        InvalidToken: another request has used or replaced it.
    """
    tokens = OneTimeToken.get_pymongo_collection()
    removed = await tokens.delete_one(
        {"_id": found["_id"], "user_id": found["user_id"]}, session=session
    )
    if not removed.deleted_count:
        raise InvalidToken


async def replace(made: Raw, session: AsyncClientSession | None = None) -> None:
    """Store a token in place of the one before of its user and purpose."""
    await OneTimeToken.get_pymongo_collection().replace_one(
        {"user_id": made["user_id"], "purpose": made["purpose"]},
        made,
        upsert=True,
        session=session,
    )


async def offer_first_admin(client: Client, name: str) -> str | None:
    """Make the token of the first administrator if there is no account yet, and return it.

    The documents need not be bound.

    Args:
        client: the connection.
        name: of the database.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    database = client[name]
    if await database[User.Settings.name].find_one({}, {"_id": True}) is not None:
        return None
    made, token = new_token(Purpose.FIRST_ADMIN)
    which = {"user_id": None, "purpose": made["purpose"]}
    await database[TOKENS].replace_one(which, made, upsert=True)
    return token
