"""Who may use which tool, and whose calls a rule approves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.accounts.models import User
from chatvault.actor import Actor, Door, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.commands.errors import AutoApprovalNotPermitted, ToolNotFound, ToolNotPermitted
from chatvault.commands.models import ApprovalRule, ToolGrant
from chatvault.errors import Denied
from chatvault.fields import Raw, now
from chatvault.mongodb.database import transaction


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions of a user by the account's present role, not the session's.

    Attributes:
        role: None if the account is gone or deactivated.
        grants: by tool.
        rules: the tools whose calls the user need not approve.
    """

    role: Role | None
    grants: dict[str, Raw]
    rules: frozenset[str]

    def may_use(self, tool: str) -> bool:
        """Whether the user may run the tool, once approved."""
        return self.role is not None and self.role in self.grants.get(tool, NOBODY)["roles"]

    def may_auto_approve(self, tool: str) -> bool:
        """Whether the user may have a rule that approves the tool."""
        auto = self.grants.get(tool, NOBODY)["auto_approve_roles"]
        return self.may_use(tool) and self.role in auto

    def is_approved_by_rule(self, tool: str) -> bool:
        """Whether a rule approves the tool now."""
        return tool in self.rules and self.may_auto_approve(tool)

    def require(self, tool: str) -> None:
        """Raise unless the user may use the tool.

        Raises:
            ToolNotPermitted: the user may not.
        """
        if not self.may_use(tool):
            raise ToolNotPermitted(recorded={"tool": tool})


NOBODY: Raw = {"roles": (), "auto_approve_roles": ()}


async def find(actor: Actor) -> Permissions:
    """Return the actor's permissions. Writes no audit entry."""
    account = await User.get_pymongo_collection().find_one(
        {"_id": actor.owner_id, "is_active": True}, {"role": True}
    )
    grants = await ToolGrant.get_pymongo_collection().find().to_list()
    rules = await ApprovalRule.list_raw(actor)
    return Permissions(
        role=Role(account["role"]) if account else None,
        grants={grant["_id"]: grant for grant in grants},
        rules=frozenset(rule["tool"] for rule in rules),
    )


async def list_rules(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return the actor's rules, and whether each is effective."""
    permissions = await find(actor)
    rules = await ApprovalRule.list_raw(actor)
    await recorder.record(
        audit.entry(actor, Action.APPROVAL_RULE_LIST, details={"rules": len(rules)})
    )
    return [
        {**rule, "is_effective": permissions.is_approved_by_rule(rule["tool"])} for rule in rules
    ]


async def set_rule(actor: Actor, *, tool: str) -> Raw:
    """Add a rule: calls of a tool run without asking, from now on.

    Raises:
        AutoApprovalNotPermitted: the actor's role may not.
    """
    permissions = await find(actor)
    if not permissions.may_auto_approve(tool):
        # Another name is text of the client's.
        known = {"tool": tool} if tool in permissions.grants else None
        raise AutoApprovalNotPermitted(recorded=known)
    rule = ApprovalRule.owned_by(actor, tool=tool)

    async def store(session: AsyncClientSession) -> Raw:
        at = now()
        await ApprovalRule.get_pymongo_collection().update_one(
            rule, {"$set": {"created_at": at}}, upsert=True, session=session
        )
        await _store_entry(actor, Action.APPROVAL_RULE_SET, {"tool": tool}, session)
        return {**rule, "created_at": at}

    return {**await transaction(store, turn=("rule", actor.owner_id, tool)), "is_effective": True}


async def remove_rule(actor: Actor, *, tool: str) -> None:
    """Remove the rule for a tool: each call needs approval again.

    Raises:
        ToolNotFound: the actor has no rule for it.
    """

    async def remove(session: AsyncClientSession) -> None:
        removed = await ApprovalRule.get_pymongo_collection().delete_one(
            ApprovalRule.owned_by(actor, tool=tool), session=session
        )
        if not removed.deleted_count:
            raise ToolNotFound
        await _store_entry(actor, Action.APPROVAL_RULE_DELETE, {"tool": tool}, session)

    await transaction(remove, turn=("rule", actor.owner_id, tool))


async def list_grants(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return all grants.

    Raises:
        Denied: only an operator at the command line may list them.
    """
    _require_operator(actor)
    grants = await ToolGrant.get_pymongo_collection().find().sort("_id", 1).to_list()
    await recorder.record(audit.entry(actor, Action.TOOL_LIST, details={"tools": len(grants)}))
    return grants


async def grant(
    actor: Actor, *, tool: str, roles: Sequence[Role], auto_approve_roles: Sequence[Role]
) -> None:
    """Let exactly these roles use a tool; without roles nobody may.

    Raises:
        Denied: only an operator at the command line grants tools.
    """
    _require_operator(actor)
    granted: Raw = {
        "roles": [role.value for role in roles],
        "auto_approve_roles": [role.value for role in auto_approve_roles],
        "updated_at": now(),
    }

    async def store(session: AsyncClientSession) -> None:
        grants = ToolGrant.get_pymongo_collection()
        if roles:
            await grants.replace_one({"_id": tool}, granted, upsert=True, session=session)
        else:
            await grants.delete_one({"_id": tool}, session=session)
        details = {name: ",".join(granted[name]) for name in ("roles", "auto_approve_roles")}
        await _store_entry(actor, Action.TOOL_GRANT, {"tool": tool, **details}, session)

    await transaction(store, turn=("grant", tool))


def _require_operator(actor: Actor) -> None:
    if actor.door is not Door.CLI:
        raise Denied


async def _store_entry(
    actor: Actor, action: Action, details: dict[str, Any], session: AsyncClientSession
) -> None:
    await AuditEntry.store([audit.entry(actor, action, details=details)], session)
