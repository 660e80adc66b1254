"""Request and response schemas of groups, and of what is shared with them."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chatvault.conversations.grants import GrantRole
from chatvault.conversations.schemas import ConversationPath
from chatvault.fields import Id, Instant, Raw
from chatvault.groups.errors import GroupNotFound
from chatvault.groups.models import MemberRole
from chatvault.groups.service import GroupView
from chatvault.sharing.schemas import GrantIn

GroupName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Claim = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class GroupPath(BaseModel):
    """The path of one group."""

    group_id: Id

    @staticmethod
    def absent() -> GroupNotFound:
        """Return the error for a malformed id."""
        return GroupNotFound()


class MemberPath(GroupPath):
    """The path of one member: a group, and the name or id of a user."""

    user: str = Field(min_length=1, max_length=64)


class GroupGrantPath(ConversationPath):
    """The path of a grant to a group."""

    group_id: Id


class GroupIn(BaseModel):
    """The name of a group."""

    model_config = ConfigDict(extra="forbid")

    name: GroupName


class GroupChangeIn(BaseModel):
    """A change of a group; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Team"}]})

    name: GroupName | None = None
    claim: Claim | None = Field(
        None, description="the group at the identity provider whose members join; null for none"
    )

    @model_validator(mode="after")
    def _change_something(self) -> Self:
        given = self.model_fields_set
        if not given or ("name" in given and self.name is None):
            raise ValueError("Say what to change; the name cannot be null")
        return self


class MemberIn(BaseModel):
    """The role that a user is to have in a group."""

    model_config = ConfigDict(extra="forbid")

    role: Literal[MemberRole.MEMBER, MemberRole.MANAGER] = Field(
        MemberRole.MEMBER, description="managers add and remove members; the owner makes managers"
    )


class MemberOut(BaseModel):
    """A user in a group.

    Attributes:
        username: null if the account is gone.
        by_claim: whether they joined at sign-in with the identity provider, and leave so.
    """

    user_id: Id
    username: str | None
    role: MemberRole
    added_by: Id
    added_at: Instant
    by_claim: bool


class GroupSummaryOut(BaseModel):
    """A group that I am in.

    Attributes:
        role: mine.
    """

    id: Id
    name: str
    role: MemberRole
    owner_id: Id
    created_at: Instant
    updated_at: Instant


class GroupOut(GroupSummaryOut):
    """A group with its members, who joined first come first.

    Attributes:
        claim: the group at the identity provider whose members join at sign-in.
    """

    claim: str | None = Field(examples=["engineering"])
    members: list[MemberOut]


class GroupsOut(BaseModel):
    """The groups that I am in, those that I joined last come first."""

    groups: list[GroupSummaryOut]


class GroupGrantOut(BaseModel):
    """A grant: one conversation, shared with one group.

    Attributes:
        name: the group's; null if I am no longer in it.
    """

    group_id: Id
    name: str | None
    role: GrantRole
    agents: bool
    granted_by: Id
    granted_at: Instant
    expires_at: Instant | None


class GroupGrantsOut(BaseModel):
    """The grants of a conversation to groups."""

    grants: list[GroupGrantOut]


class GroupGrantIn(GrantIn):
    """The role that a group's members are to have in a conversation."""


def member_wire(member: Raw) -> MemberOut:
    """Return a membership, with its user's name, as the API shows it."""
    return MemberOut(
        user_id=member["member_id"],
        username=member["username"],
        role=member["role"],
        added_by=member["by"],
        added_at=member["at"],
        by_claim=member.get("by_claim", False),
    )


def summary_wire(view: GroupView) -> GroupSummaryOut:
    """Return a group as a list shows it."""
    shown = ("name", "owner_id", "created_at", "updated_at")
    fields = {name: view.group[name] for name in shown}
    return GroupSummaryOut(id=view.group["_id"], role=view.role, **fields)


def group_wire(view: GroupView) -> GroupOut:
    """Return a group with its members as the API shows it."""
    members = [member_wire(each) for each in view.members]
    claim = view.group.get("claim")
    return GroupOut(**vars(summary_wire(view)), claim=claim, members=members)


def grant_wire(grant: Raw) -> GroupGrantOut:
    """Return a stored grant, with its group's name, as the API shows it."""
    return GroupGrantOut(
        group_id=grant["group_id"],
        name=grant["name"],
        role=grant["role"],
        agents=grant["agents"],
        granted_by=grant["by"],
        granted_at=grant["at"],
        expires_at=grant["expires_at"],
    )
