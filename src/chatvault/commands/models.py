"""Commands, approval rules and tool grants."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, TypedDict, cast

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor, Role
from chatvault.content import Content, Erased
from chatvault.fields import Id, Raw
from chatvault.owned import Owned, Personal


class Status(StrEnum):
    """The state of a command; an approved one runs."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXECUTED = "executed"
    FAILED = "failed"


OPEN = frozenset({Status.PENDING, Status.APPROVED})


class DecidedBy(StrEnum):
    """Who or what approved a command."""

    PERSON = "person"
    RULE = "rule"


class CommandPlace(TypedDict):
    """The place of a command: its message, and the reply that waits for it, if any."""

    conversation_id: ObjectId
    message_id: str
    reply_id: ObjectId | None


class CommandDoc(CommandPlace):
    """A command as it is stored beside its message; `Command` describes the fields."""

    _id: ObjectId
    user_id: ObjectId
    tool: str
    status: str
    lease_until: datetime | None
    created_at: datetime


class Command(Owned, Document):
    """A command's place and status; its text and result are stored in its message.

    Attributes:
        message_id: the message that carries it.
        reply_id: the reply that waits for it; None if a person ran it.
        tool: the name under which it is offered.
        lease_until: while it runs: the time by which its process must renew this.
    """

    user_id: Id
    conversation_id: Id
    message_id: str
    reply_id: Id | None
    tool: str
    status: Status
    lease_until: datetime | None = None
    created_at: datetime

    # What it says, and what came of it, is in its message.
    holds: ClassVar = Content(plain=("message_id", "tool"))

    class Settings:
        """Beanie's."""

        name = "commands"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("conversation_id", 1), ("_id", 1)]),
            IndexModel(
                [("lease_until", 1)],
                partialFilterExpression={"status": "approved"},
                name="running_lease",
            ),
        ]

    @classmethod
    async def find_raw(
        cls, access: Access, conversation_id: ObjectId, command_id: ObjectId
    ) -> CommandDoc | None:
        """Return a command of the actor's, or None."""
        query = cls.owned_by(access, conversation_id=conversation_id, _id=command_id)
        return cast("CommandDoc | None", await cls.get_pymongo_collection().find_one(query))

    @classmethod
    async def list_raw(
        cls, access: Access, conversation_id: ObjectId, limit: int, **more: Any
    ) -> list[CommandDoc]:
        """Return the newest commands of a conversation, the newest first."""
        query = cls.owned_by(access, conversation_id=conversation_id, **more)
        found = cls.get_pymongo_collection().find(query).sort("_id", -1).limit(limit)
        return cast("list[CommandDoc]", await found.to_list())


class ApprovalRule(Personal, Document):
    """A user's rule that calls of a tool need no approval one by one."""

    user_id: Id
    tool: str
    created_at: datetime

    holds: ClassVar = Content(plain=("tool",), exported=True)

    class Settings:
        """Beanie's."""

        name = "approval_rules"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("tool", 1)], unique=True, name="rule_unique")
        ]

    @classmethod
    async def list_raw(cls, actor: Actor, session: AsyncClientSession | None = None) -> list[Raw]:
        """Return the actor's rules, by tool."""
        found = cls.get_pymongo_collection().find(cls.owned_by(actor), session=session)
        return await found.sort("tool", 1).to_list()


class ToolGrant(Document):
    """The roles that may use a tool; without a grant no role may.

    Attributes:
        roles: those that may use it, each call approved by its user.
        auto_approve_roles: those whose users may have a rule approve its calls.
    """

    id: str  # type: ignore[assignment]  # the tool
    roles: list[Role]
    auto_approve_roles: list[Role]
    updated_at: datetime

    holds: ClassVar = Content(plain=("id",), erased=Erased.NEVER)

    class Settings:
        """Beanie's."""

        name = "tool_grants"
