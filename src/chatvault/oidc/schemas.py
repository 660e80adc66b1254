"""Request and response schemas of signing in with an identity provider."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=512)]


class OidcLoginQuery(BaseModel):
    """The query of a sign-in."""

    model_config = ConfigDict(extra="forbid")

    return_to: str = Field(
        "/",
        max_length=2048,
        description="a path here, or an address at one of `CHATVAULT_ALLOWED_ORIGINS`",
        examples=["/library"],
    )


class CallbackQuery(BaseModel):
    """The answer of an identity provider, which the browser brings; it may hold more."""

    model_config = ConfigDict(extra="ignore")

    state: Text = Field("", examples=["af0ifjsldkj"])
    code: Annotated[str, Field(max_length=2048)] | None = None
    error: Text | None = None
    iss: Text | None = None


class IdentityLinkIn(BaseModel):
    """The request to link an account."""

    model_config = ConfigDict(extra="forbid")

    return_to: str = Field("/", max_length=2048)


class IdentityLinkOut(BaseModel):
    """The address of the identity provider, which the browser visits now."""

    location: str
