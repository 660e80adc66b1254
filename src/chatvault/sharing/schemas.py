"""Request and response schemas of grants."""

from pydantic import BaseModel, ConfigDict, Field

from chatvault.conversations.grants import GrantRole
from chatvault.conversations.schemas import ConversationPath
from chatvault.fields import Id, Instant, Raw


class GrantPath(ConversationPath):
    """The path of one grant: a conversation, and the name or id of a user."""

    user: str = Field(min_length=1, max_length=64)


class GrantIn(BaseModel):
    """The role that a user is to have in a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: GrantRole = Field(
        description="viewer reads; commenter adds notes as well; editor appends and edits, too"
    )
    expires_at: Instant | None = Field(None, description="when it ends by itself; null for never")
    agents: bool = Field(
        default=False, description="whether an editor may ask agents, at the owner's expense"
    )


class GrantOut(BaseModel):
    """A grant: one conversation, shared with one user.

    Attributes:
        username: null if the account is gone.
    """

    user_id: Id
    username: str | None
    role: GrantRole
    granted_by: Id
    granted_at: Instant
    expires_at: Instant | None
    agents: bool


class GrantsOut(BaseModel):
    """The grants of a conversation."""

    grants: list[GrantOut]


def grant_wire(grant: Raw) -> GrantOut:
    """Return a stored grant, with its user's name, as the API shows it."""
    return GrantOut(
        user_id=grant["grantee_id"],
        username=grant["username"],
        role=grant["role"],
        granted_by=grant["by"],
        granted_at=grant["at"],
        expires_at=grant["expires_at"],
        agents=grant.get("agents", False),
    )
