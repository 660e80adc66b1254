"""Request and response schemas of administration."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, EmailStr, Field, model_validator

from chatvault.accounts.schemas import AdminUserOut, FullName, NewPassword, Username
from chatvault.actor import Role
from chatvault.errors import NotFound
from chatvault.fields import Id, Instant

Token = Annotated[str, Field(min_length=1, max_length=128)]


class UserPath(BaseModel):
    """The account in a path."""

    user_id: Id

    @staticmethod
    def absent() -> NotFound:
        """Return the error for a malformed id."""
        return NotFound("There is no such user")


class NewUserIn(BaseModel):
    """An account to make."""

    model_config = ConfigDict(extra="forbid")

    username: Username
    email: EmailStr
    full_name: FullName | None = None
    password: NewPassword | None = Field(
        None, description="null: nobody can sign in until a password is set by a token"
    )
    role: Role = Role.USER


class UserChangeIn(BaseModel):
    """A change of an account; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"is_active": False}]}
    )

    role: Role | None = None
    is_active: bool | None = Field(None, description="false closes the account, true opens it")
    username: Username | None = None

    @model_validator(mode="after")
    def _change_something(self) -> Self:
        given = [getattr(self, name) for name in self.model_fields_set]
        if not given or None in given:
            raise ValueError("Say what to change, each with a value")
        return self


class UserDetailOut(AdminUserOut):
    """An account as administrators see it alone."""

    email: str
    is_being_erased: bool
    sessions: int = Field(description="how many are open")
    api_keys: int = Field(description="how many there are")
    conversations: int = Field(description="how many are stored, those in the trash included")
    messages: int = Field(description="how many those have")
    bytes: int = Field(description="how large the messages are")


class EndedOut(BaseModel):
    """The number of sessions or API keys that ended."""

    ended: int


class ResetOut(BaseModel):
    """A token with which the user sets a password, by `POST /auth/password-reset`."""

    token: str = Field(description="shown once; hand it to the user, and to nobody else")
    expires_at: Instant


class PasswordResetIn(BaseModel):
    """A new password, and the token that allows it."""

    model_config = ConfigDict(extra="forbid")

    token: Token
    new_password: NewPassword


class PasswordResetOut(BaseModel):
    """The result of setting a password."""

    message: str


class FirstAdminIn(BaseModel):
    """The account of the first administrator, and the token from the first start."""

    model_config = ConfigDict(extra="forbid")

    token: Token
    username: Username
    email: EmailStr
    password: NewPassword


class QueueHealthOut(BaseModel):
    """The commit queue of the process that answers."""

    waiting: int = Field(description="changes of conversations that wait for a batch")


class LiveHealthOut(BaseModel):
    """The live events of the process that answers."""

    connections: int
    silence_seconds: float = Field(
        description="since MongoDB last answered the change stream, as it does each second; 0 "
        "without connections"
    )


class SearchHealthOut(BaseModel):
    """The search indexes that the process that answers has in use."""

    users: int = Field(description="who searched within the last minutes")
    missing_messages: int = Field(description="messages that their indexes do not have yet")


class AuditHealthOut(BaseModel):
    """The sealing of the audit log.

    Attributes:
        block: the number of the newest block; null before the first.
        sealed_at: when it was made.
    """

    block: int | None
    sealed_at: Instant | None
    unsealed_seconds: float = Field(description="the age of the oldest entry that waits; or 0")


class ServiceHealthOut(BaseModel):
    """The health of the service."""

    is_database_up: bool = Field(description="if not, `audit` and `jobs` say nothing")
    failing: list[str] = Field(description="background loops that failed just now")
    replies_running: int = Field(description="by the process that answers")
    is_sealing: bool = Field(description="whether new content is stored sealed")
    commit_queue: QueueHealthOut
    live: LiveHealthOut
    search: SearchHealthOut
    audit: AuditHealthOut
    jobs: dict[str, int] = Field(
        description="how many of each kind have not ended", examples=[{"import": 1, "reply": 0}]
    )
