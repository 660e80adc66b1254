"""Showing the accounts to administrators."""

from chatvault.accounts.models import User
from chatvault.accounts.schemas import UsersQuery
from chatvault.actor import Actor, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder


async def search_users(actor: Actor, recorder: Recorder, *, query: UsersQuery) -> list[User]:
    """Return a page of accounts in the order of their names; itself audited.

    Args:
        actor: an administrator.
        recorder: stores the audit entry.
        query: the filters, and the name with which the page before ended.

    Raises:
        Denied: the actor is no administrator.
    """
    actor.require_role(Role.ADMIN)
    found = User.find(query.to_query()).sort("+username_key").limit(query.limit)
    users = await found.to_list()
    await recorder.record(audit.entry(actor, Action.USER_LIST, details={"users": len(users)}))
    return users
