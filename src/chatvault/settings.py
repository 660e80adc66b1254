"""The frozen settings class, and the only reader of the environment."""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
import platformdirs
from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chatvault import provider_keys
from chatvault.errors import ChatvaultError
from chatvault.external import McpServer, Oidc, Provider
from chatvault.setting_files import IN_FILE, read_files

PREFIX = "CHATVAULT_"
# Read by a command in place of a prompt; not a setting of the service.
NEW_PASSWORD = "CHATVAULT_NEW_PASSWORD"  # noqa: S105  # a name of a variable
_FOR_PROGRAMS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"),
    *("SYSTEMROOT", "TEMP", "TMP", "APPDATA", "LOCALAPPDATA", "USERPROFILE"),
)
LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}"
    for host in ("localhost", "127.0.0.1")
    for port in (3000, 4173, 4174, 5173, 5174)
)

KEYS = re.compile(r"\s*[0-9A-Fa-f]{64}(\s*,\s*[0-9A-Fa-f]{64})*\s*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
McpServerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,24}$")]


class InvalidSettings(ChatvaultError):
    """A setting is wrong."""

    code = "invalid_settings"


class Environment(StrEnum):
    """Development is generous on one machine; production assumes strangers."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Registration(StrEnum):
    """Who may make an account over HTTP."""

    OPEN = "open"
    CLOSED = "closed"


class Switch(StrEnum):
    """Something that an operator switches on or off."""

    ON = "on"
    OFF = "off"


class LogFormat(StrEnum):
    """The format of log lines."""

    JSON = "json"
    CONSOLE = "console"


class Settings(BaseSettings):
    """All settings; each is read from `CHATVAULT_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    env: Environment = Field(
        Environment.DEVELOPMENT, description="development or production; governs other defaults"
    )
    host: str = Field(
        "localhost",
        pattern=r"^[0-9A-Za-z.:%_-]+$",
        description="address to listen on; localhost means 127.0.0.1 and ::1",
    )
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("chatvault", appauthor=False)),
        description="where the embedded MongoDB and generated keys live",
    )
    mongodb_url: SecretStr | None = Field(
        None, description="a MongoDB replica set or sharded cluster; unset: the embedded MongoDB"
    )
    mongodb_database: str = Field(
        "chatvault",
        pattern=r"^[A-Za-z0-9_-]{1,38}$",
        description="name of the database",
    )
    mongodb_timeout: float = Field(
        5.0, gt=0, le=60, description="seconds until an operation on MongoDB is given up"
    )
    secret_key: SecretStr | None = Field(
        None,
        description="key for keyed hashes, at least 32 characters; "
        "unset: generated once into the data directory",
    )
    audit_keys: SecretStr | None = Field(
        None,
        description="keys of the audit log, each 64 hex digits, comma-separated, newest first; "
        "unset: generated once into the data directory",
    )
    master_keys: SecretStr | None = Field(
        None,
        description="master keys, each 64 hex digits, comma-separated, newest first; with them "
        "conversations are stored sealed, without them readably",
    )
    sealing: Switch = Field(
        Switch.ON,
        description="on or off: whether what is written is sealed if there are master keys; off "
        "before `chatvault decrypt`",
    )
    audit_mark_dir: Path | None = Field(
        None,
        description="directory for the note of how far the audit log goes; unset: data_dir",
    )
    audit_retention_days: int = Field(
        0, ge=0, le=36_500, description="days that audit entries are kept; 0: for ever"
    )
    trash_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="days that deleted conversations stay in the trash; 0: deleted at once",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="browser origins that may call with credentials, comma-separated; "
        "in development the usual local ports",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="addresses or networks of reverse proxies, comma-separated; "
        "only theirs are the X-Forwarded headers that count",
    )
    connections_per_address: int = Field(
        256,
        ge=0,
        description="connections that one address may have to a process at a time; "
        "0: as many as it likes; those of trusted proxies are not counted",
    )
    live_connections_per_user: int = Field(
        32, ge=1, description="live connections (/events, /ws) that a user may have to a process"
    )
    live_connections: int = Field(
        10_000, ge=1, description="live connections that a process may have"
    )
    metrics: str | None = Field(
        None,
        pattern=r"^((\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):[0-9]{1,5})?$",
        description="address and port, such as 127.0.0.1:9464, at which anybody who reaches it "
        "reads the metrics; unset: administrators read them from the service itself",
    )
    registration: Registration = Field(
        Registration.OPEN,
        description="open or closed; production default: closed",
    )
    links: Switch = Field(
        Switch.ON,
        description="on or off: whether public links to conversations can be made and opened; "
        "production default: off",
    )
    oidc: Annotated[Oidc | None, NoDecode] = Field(
        None,
        description="a provider of OpenID Connect that people sign in with, as JSON: "
        '{"issuer": "https://…", "client_id": "…", "client_secret": "…", …}',
    )
    passwords: Switch = Field(
        Switch.ON,
        description="on or off: whether people sign in with passwords; off needs `oidc`",
    )
    ui: Switch = Field(
        Switch.ON, description="on or off: whether the web page is served beside the API"
    )
    session_lifetime: int = Field(
        86_400, ge=60, le=31_536_000, description="seconds without use until a session ends"
    )
    bcrypt_rounds: int = Field(12, ge=4, le=18, description="cost of a password hash, as 2^n")
    log_format: LogFormat = Field(
        LogFormat.CONSOLE, description="json or console; production default: json"
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error"
    )

    providers: Annotated[dict[str, Provider], NoDecode] = Field(
        default_factory=dict,
        description="models that agents answer with, as JSON: "
        '{"name": {"base_url": "https://…/v1", "api_key": "…", "model": "…"}, …}; '
        "unset: none, or in development by `OPENAI_API_KEY` or `ANTHROPIC_API_KEY`",
    )
    default_provider: str | None = Field(
        None, description="name of the provider of agents that name none; unset: the first"
    )
    provider_timeout: float = Field(
        60.0, gt=0, le=3600, description="seconds to wait for a model's next word"
    )
    max_reply_content: int = Field(
        10_000, ge=1, le=1_000_000, description="characters of a message that asks for a reply"
    )
    max_reply_tokens: int = Field(
        2048, ge=16, le=1_000_000, description="tokens that one reply may have at most"
    )
    replies_per_minute: int = Field(
        30, ge=1, le=1_000_000, description="replies a user may ask for in a minute"
    )

    mcp_servers: Annotated[dict[McpServerName, McpServer], NoDecode] = Field(
        default_factory=dict,
        description="servers of tools, as JSON: "
        '{"name": {"command": "…", "args": […], "env": {…}} or {"url": "https://…/mcp"}, …}',
    )
    mcp_timeout: float = Field(
        60.0, gt=0, le=3600, description="seconds that one call of a tool may take"
    )
    commands_per_minute: int = Field(
        30, ge=1, le=1_000_000, description="commands a user may run in a minute by execute-command"
    )

    attachment_megabytes: int = Field(
        25, ge=1, le=32, description="MB that one attachment may have"
    )
    attachments_megabytes: int = Field(
        2048, ge=0, le=1_000_000_000, description="MB that a user's attachments may have together"
    )

    exports_per_minute: int = Field(
        10, ge=1, le=1_000_000, description="exports a user may ask for in a minute"
    )

    upload_gb: int = Field(
        8,
        ge=0,
        le=100_000,
        description="gigabytes that a user's uploads for imports may have "
        "together; 0: no uploads in parts",
    )

    search_dir: Path | None = Field(
        None,
        description="directory that search indexes are opened in; unset: memory (/dev/shm) where "
        "it has 256 MB free, else the directory of temporary files",
    )
    search_megabytes: int = Field(
        1024,
        ge=16,
        le=1_000_000,
        description="MB that the open search indexes of a process may have",
    )

    _key_variables: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("providers", "mcp_servers", "oidc", mode="before")
    @classmethod
    def _read_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            found = orjson.loads(value or "{}")
        except orjson.JSONDecodeError:
            raise ValueError("must be a JSON object of objects") from None
        if not isinstance(found, dict):
            raise ValueError("must be a JSON object of objects")  # noqa: TRY004  # pydantic's way
        return found

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, separator, rest = origin.partition("://")
            if scheme not in {"http", "https"} or not separator or not rest or "/" in rest:
                raise ValueError(f"{origin!r} is no origin such as https://chat.example.org")
        return value

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:  # noqa: PLR2004  # as said
            raise ValueError("must have at least 32 characters")
        return value

    @field_validator("master_keys", "mongodb_url", mode="before")
    @classmethod
    def _leave_out_blank(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("audit_keys", "master_keys")
    @classmethod
    def _check_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not KEYS.fullmatch(value.get_secret_value()):
            raise ValueError(
                "must be keys of 64 hexadecimal digits each, comma-separated, newest first; make "
                "one with `openssl rand -hex 32`"
            )
        return value

    @field_validator("mongodb_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("mongodb://", "mongodb+srv://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_environment(cls, values: dict[str, object]) -> dict[str, object]:
        if values.get("env", Environment.DEVELOPMENT) == Environment.PRODUCTION:
            values.setdefault("registration", Registration.CLOSED)
            values.setdefault("links", Switch.OFF)
            values.setdefault("log_format", LogFormat.JSON)
        else:
            values.setdefault("allowed_origins", LOCAL_ORIGINS)
        return values

    @model_validator(mode="after")
    def _check_default_provider(self) -> Self:
        if self.default_provider and self.default_provider not in self.providers:
            raise ValueError(f"{PREFIX}DEFAULT_PROVIDER must be one of {PREFIX}PROVIDERS")
        return self

    @model_validator(mode="after")
    def _require_a_way_to_sign_in(self) -> Self:
        if self.passwords is Switch.OFF and self.oidc is None:
            raise ValueError(f"{PREFIX}PASSWORDS=off needs {PREFIX}OIDC")
        return self

    @model_validator(mode="after")
    def _require_keys_in_production(self) -> Self:
        if self.env is Environment.PRODUCTION and self.mongodb_url is not None:
            for name in ("secret_key", "audit_keys"):
                if getattr(self, name) is None:
                    variable = PREFIX + name.upper()
                    raise ValueError(
                        f"{variable} must be set in production with {PREFIX}MONGODB_URL"
                    )
        return self

    @property
    def is_registration_open(self) -> bool:
        """Whether anyone may make an account with a password."""
        return self.registration is Registration.OPEN and self.passwords is Switch.ON

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The variables, such as `OPENAI_API_KEY`, that name providers in place of a setting."""
        return self._key_variables

    def with_provider_keys(self) -> Self:
        """Return the settings with providers by `OPENAI_API_KEY` and the like, where they are set.

        Raises:
            InvalidSettings: a variable that goes with the key is wrong.
        """
        providers: dict[str, Provider] = {}
        for name, given in provider_keys.providers_in(os.environ).items():
            try:
                providers[name] = Provider(**given)
            except ValidationError as error:
                raise InvalidSettings(_first_line(error, f"{name.upper()}_BASE_URL")) from None
        settings = self.model_copy(update={"providers": providers}) if providers else self
        settings._key_variables = key_variables_given()  # noqa: SLF001  # of the same class
        return settings


def key_variables_given() -> tuple[str, ...]:
    """Return `OPENAI_API_KEY` and the like, as far as the environment has them, used or not."""
    return provider_keys.variables_in(os.environ)


def point_tiktoken_to(directory: Path) -> None:
    """Let tiktoken read its rank files here instead of downloading them; it has no argument."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(directory)


def load_settings() -> Settings:
    """Read the settings from the environment, and from the files that it names.

    Raises:
        InvalidSettings: a value is wrong, or a `CHATVAULT_` variable is no setting; one line.
    """
    fields = {PREFIX + name.upper(): name for name in Settings.model_fields}
    known = {*fields, *(variable + IN_FILE for variable in fields)}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known | {NEW_PASSWORD}:
            near = difflib.get_close_matches(variable.upper(), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; see `chatvault settings`"
            raise InvalidSettings(f"{variable} is not a setting{hint}")
    environment = {name.upper(): value for name, value in os.environ.items()}
    try:
        found = read_files(environment, fields)
        values: dict[str, Any] = {fields[variable]: value for variable, value in found.items()}
        settings = Settings(**values)
    except ValidationError as error:
        raise InvalidSettings(_first_line(error)) from None
    except ValueError as error:
        raise InvalidSettings(str(error)) from None
    is_told = settings.env is Environment.PRODUCTION or "providers" in settings.model_fields_set
    return settings if is_told else settings.with_provider_keys()


def _first_line(error: ValidationError, name: str = "") -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    return f"{name or PREFIX + str(first['loc'][0]).upper()}: {message}"


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (variable, value, description) of every setting; of a secret, whether it is set."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        elif isinstance(value, dict):
            # Values of providers and servers may be secret; their names are not.
            value = ",".join(value)
        yield PREFIX + name.upper(), "" if value is None else str(value), field.description or ""


def program_environment() -> dict[str, str]:
    """Return the variables that our own programs need: where files are, and no secret."""
    return {name: os.environ[name] for name in _FOR_PROGRAMS if name in os.environ}
