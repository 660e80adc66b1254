"""The external programs that settings name: model providers, MCP servers, an identity provider."""

import importlib.util
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from chatvault.actor import Role


class Provider(BaseModel):
    """A service that speaks OpenAI's protocol, or Anthropic's.

    Attributes:
        base_url: None means the own address of whoever made the protocol.
        api_key: None where the provider needs none, such as a local Ollama.
        model: used where an agent names no other.
        options: further parameters of the protocol, sent with each request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    protocol: Literal["openai", "anthropic"] = "openai"
    base_url: str | None = None
    api_key: SecretStr | None = None
    model: str = Field(min_length=1, max_length=255)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key as it is sent; empty if there is none."""
        return self.api_key.get_secret_value() if self.api_key else ""

    @property
    def missing_extra(self) -> str | None:
        """The extra of our package that this provider needs, if it is not installed."""
        if self.protocol == "openai" or importlib.util.find_spec(self.protocol) is not None:
            return None
        return self.protocol

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("must begin with http:// or https://")
            if "@" in parts.netloc:
                raise ValueError("must not contain a password; use api_key")
        return value


class Oidc(BaseModel):
    """A provider of OpenID Connect, which people sign in with.

    Attributes:
        issuer: its address, exactly as it names itself.
        client_secret: None for a client that the provider knows without one.
        name: what the page calls it.
        scopes: what it is asked to tell; `openid` is needed.
        registration: whether somebody without an account gets one.
        roles_claim: the claim that lists somebody's groups or roles there.
        roles: the role here by the name there; empty leaves roles to the command line.
        redirect_uri: where a sign-in comes back to; by default `/auth/oidc/callback` of the host
            that the browser called.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    client_id: str = Field(min_length=1, max_length=255)
    client_secret: SecretStr | None = None
    name: str = Field("single sign-on", min_length=1, max_length=60)
    scopes: str = Field("openid profile email", pattern=r"^(.* )?openid( .*)?$")
    registration: bool = True
    roles_claim: str = "groups"
    roles: dict[str, Role] = Field(default_factory=dict)
    redirect_uri: str | None = None

    @field_validator("issuer", "redirect_uri")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            is_near = parts.hostname in {"localhost", "127.0.0.1", "::1"}
            if parts.scheme != "https" and not (parts.scheme == "http" and is_near):
                raise ValueError("must begin with https://; http:// is for this machine only")
        return value


class McpTool(BaseModel):
    """An operator's settings for one tool of a server.

    Attributes:
        name: the name under which it is offered; None means `server__tool`.
        arguments: added to every call, and shown to nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    arguments: dict[str, Any] = Field(default_factory=dict)


class McpServer(BaseModel):
    """A server of tools: a program to start, or the URL of one that runs.

    Attributes:
        env: the program's environment variables, beside PATH, HOME and the like.
        headers: sent with every request, for its authentication.
        tools: by their names on the server.
        send_user_id: whether each call names, in its `_meta`, the user for whom it is made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = Field(None, min_length=1)
    args: tuple[str, ...] = ()
    env: dict[str, SecretStr] = Field(default_factory=dict)
    cwd: Path | None = None
    url: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    tools: dict[str, McpTool] = Field(default_factory=dict)
    send_user_id: bool = False

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has either command or url")
        if self.url is not None and urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError("url must begin with http:// or https://")
        return self
