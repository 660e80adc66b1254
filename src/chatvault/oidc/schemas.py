"""Request and response schemas of signing in with an identity provider."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=4096)]


class OidcLoginQuery(BaseModel):
    """Where a sign-in goes after it."""

    model_config = ConfigDict(extra="forbid")

    return_to: str = Field(
        "/",
        max_length=2048,
        description="a path here, or an address at one of `CHATVAULT_ALLOWED_ORIGINS`",
    )


class CallbackQuery(BaseModel):
    """What an identity provider sends back with the browser; it may send more."""

    model_config = ConfigDict(extra="ignore")

    state: Text = ""
    code: Text | None = None
    error: Text | None = None
    iss: Text | None = None


class LinkIn(BaseModel):
    """Where the browser goes once the account is linked."""

    model_config = ConfigDict(extra="forbid")

    return_to: str = Field("/", max_length=2048, examples=["/settings/account"])


class LinkOut(BaseModel):
    """Where the browser goes now: to the identity provider."""

    location: str = Field(examples=["https://id.example.org/authorize?client_id=chatvault&…"])
