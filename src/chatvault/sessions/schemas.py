"""Request and response schemas of sessions."""

from pydantic import BaseModel, ConfigDict, Field

from chatvault.accounts.schemas import Password, UserOut
from chatvault.fields import Id, Instant


class LoginIn(BaseModel):
    """A username and its password."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=255)
    password: Password


class LoginOut(BaseModel):
    """The signed-in user; the cookie is in the headers."""

    message: str
    user: UserOut


class MessageOut(BaseModel):
    """One sentence about what happened."""

    model_config = ConfigDict(title="NoticeOut")

    message: str


class SessionPath(BaseModel):
    """One session."""

    session_id: Id


class SessionOut(BaseModel):
    """A session: its start, its address, and whether it is the current one."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    address: str | None
    user_agent: str | None
    current: bool = False


class RevokedOut(BaseModel):
    """The number of sessions that were ended."""

    revoked_count: int
    message: str
