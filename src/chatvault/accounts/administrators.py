"""The rule that somebody can always administrate."""

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts.models import User
from chatvault.actor import Role
from chatvault.errors import Conflict
from chatvault.fields import Raw

# The accounts of people who can sign in and administrate.
ABLE: Raw = {
    "role": Role.ADMIN.value,
    "is_active": True,
    "is_service": {"$ne": True},
    "$or": [{"password_hash": {"$ne": ""}}, {"oidc_subject": {"$type": "string"}}],
    "erasure": None,
}


class LastAdministrator(Conflict):
    """This is the last open account of an administrator; give another the role first."""

    code = "last_administrator"


async def require_another(user_id: ObjectId, session: AsyncClientSession) -> None:
    """Raise unless somebody besides this user administrates, once the transaction commits.

    It changes the account of the other, so that of two administrators who remove each other at the
    same time one conflicts: reading alone would let both pass.

    Raises:
        LastAdministrator: nobody else does.
    """
    kept = await User.get_pymongo_collection().find_one_and_update(
        {**ABLE, "_id": {"$ne": user_id}}, {"$inc": {"relied_on": 1}}, {"_id": 1}, session=session
    )
    if kept is None:
        raise LastAdministrator


async def exists(session: AsyncClientSession | None = None) -> bool:
    """Whether anybody can administrate."""
    users = User.get_pymongo_collection()
    return await users.find_one(ABLE, {"_id": True}, session=session) is not None
