"""Request and response schemas of retention."""

from pydantic import BaseModel, ConfigDict, Field

from chatvault.actor import Role
from chatvault.errors import NotFound
from chatvault.fields import Id

MAX_DAYS = 36_500
# The most conversations that an answer names.
NAMED = 100


class RetentionIn(BaseModel):
    """After how many days without a change my conversations go to the trash."""

    model_config = ConfigDict(extra="forbid")

    days: int | None = Field(ge=1, le=MAX_DAYS, description="null: never, as far as I am concerned")


class RetentionQuery(BaseModel):
    """The query of a dry run."""

    model_config = ConfigDict(extra="forbid")

    days: int | None = Field(
        None, ge=1, le=MAX_DAYS, description="what would go if these were the days"
    )


class RetentionOut(BaseModel):
    """My policy, and what would go to the trash now.

    Attributes:
        days: of my own policy; null if I have none.
        role_days: of an operator's policy for my role; null if there is none.
        due: how many conversations would go to the trash now.
        due_ids: the ids of the first of them, those that were left the longest.
    """

    days: int | None
    role_days: int | None
    due: int
    due_ids: list[Id]


class RolePath(BaseModel):
    """The role in a path."""

    role: Role

    @staticmethod
    def absent() -> NotFound:
        """Return the error for what is no role."""
        return NotFound("There is no such role")


class RoleRetentionOut(BaseModel):
    """The policy of a role; `days` is null where there is none."""

    role: Role
    days: int | None
