"""Request and response schemas of API keys."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatvault.accounts.usernames import check_full_name
from chatvault.actor import Scope
from chatvault.fields import Id, Instant

DAYS = 90
MAX_DAYS = 3650


def _complete(scopes: list[Scope]) -> list[Scope]:
    """Return the scopes in their order, each once, with those that they include."""
    wanted = set(scopes)
    if Scope.CONVERSATIONS_WRITE in wanted:
        # The answer to a change shows the conversation.
        wanted.add(Scope.CONVERSATIONS_READ)
    return [scope for scope in Scope if scope in wanted]


class ApiKeyIn(BaseModel):
    """A new API key."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
        AfterValidator(check_full_name),
        Field(description="what the key is for", examples=["Backup script"]),
    ]
    scopes: Annotated[
        list[Scope],
        AfterValidator(_complete),
        Field(
            min_length=1,
            max_length=len(Scope) * 2,
            description="what the key may be used for; `conversations:write` includes "
            "`conversations:read`",
        ),
    ]
    expires_in_days: int = Field(
        DAYS, ge=1, le=MAX_DAYS, description="days from now until the key no longer works"
    )

    @property
    def lifetime(self) -> timedelta:
        """The validity of the key."""
        return timedelta(days=self.expires_in_days)


class ApiKeyPath(BaseModel):
    """One API key."""

    key_id: Id


class ApiKeyOut(BaseModel):
    """An API key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    name: str = Field(examples=["Backup script"])
    prefix: str = Field(description="the first characters of the key")
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant | None = Field(description="to the minute; null if it was not used yet")
    created_from: str | None = Field(description="the address that it was made from")


class NewApiKeyOut(ApiKeyOut):
    """An API key that was just made; `key` is shown here and never again."""

    key: str = Field(description="the key itself, for `Authorization: Bearer`")


class RevokedKeysOut(BaseModel):
    """The number of revoked API keys."""

    revoked_count: int
    message: str
