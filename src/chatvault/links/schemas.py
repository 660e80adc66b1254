"""Request and response schemas of links."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from chatvault.conversations.links import Include, LinkMode
from chatvault.conversations.models import MessageRole
from chatvault.conversations.part_schemas import ShownParts
from chatvault.conversations.schemas import MessageId, Title
from chatvault.fields import Id, Instant, Raw, now
from chatvault.links.errors import LinkNotFound

DAYS = 30
MAX_DAYS = 365
PAGE = "/s/"


def _complete(include: list[Include]) -> list[Include]:
    """Return the content in its order, each kind once."""
    return [each for each in Include if each in include]


class LinkIn(BaseModel):
    """A new link."""

    model_config = ConfigDict(extra="forbid")

    mode: LinkMode = Field(
        LinkMode.SNAPSHOT,
        description="a snapshot for anybody, or what the conversation shows at each time, for"
        " users who are signed in",
    )
    include: Annotated[
        list[Include],
        AfterValidator(_complete),
        Field(
            max_length=len(Include) * 2,
            description="what it shows beside what was said; by default nothing",
        ),
    ] = []
    expires_in_days: int = Field(
        DAYS, ge=1, le=MAX_DAYS, description="days from now until the link no longer works"
    )
    password: SecretStr | None = Field(
        None, min_length=8, max_length=256, description="whoever opens the link must know it"
    )
    up_to: MessageId | None = Field(
        None, description="the last message that it shows; none: the last of the branch"
    )

    @field_validator("up_to")
    @classmethod
    def _only_of_a_snapshot(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("mode") is LinkMode.LIVE:
            raise ValueError("a live link has no last message")
        return value

    @property
    def lifetime(self) -> timedelta:
        """The validity of the link."""
        return timedelta(days=self.expires_in_days)


class LinkPath(BaseModel):
    """One link of the caller's."""

    link_id: Id


class LinkOut(BaseModel):
    """A link without its token.

    Attributes:
        messages: the number of messages of the snapshot; null if it is live.
        views: how often it was opened.
    """

    id: Id
    conversation_id: Id
    mode: LinkMode
    state: Literal["open", "expired", "revoked"]
    include: list[Include]
    messages: int | None
    has_password: bool
    views: int
    last_viewed_at: Instant | None
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None


class NewLinkOut(LinkOut):
    """A link that was just made; `token` and `path` are shown here and never again."""

    token: str | None = Field(
        description="the secret of the link; null in the answer to a repeated request"
    )
    path: str | None = Field(description="where the page shows it; null with the token")


class RevokedLinksOut(BaseModel):
    """The number of revoked links."""

    revoked_count: int
    message: str


class SharedPath(BaseModel):
    """A link, by its token."""

    token: str = Field(max_length=255)

    @staticmethod
    def absent() -> LinkNotFound:
        """Return the error for a malformed token, which is the one for an unknown one."""
        return LinkNotFound()


class SharedHeaders(BaseModel):
    """The headers that open a link with a password."""

    password: str | None = Field(
        None,
        alias="Link-Password",
        max_length=2048,
        description="the link's password, percent-encoded UTF-8",
    )
    link_pass: str | None = Field(
        None,
        alias="Link-Pass",
        max_length=255,
        description="the `link_pass` of an earlier answer, in place of the password",
    )


class SharedQuery(BaseModel):
    """The page of a link."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(
        1, ge=1, le=2**53, description="1, or the `next` of an answer; up to 100 messages"
    )


class SharedForkIn(BaseModel):
    """The title of the copy."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = Field(None, description="none: that of the link")


class SharedMessageOut(BaseModel):
    """A message as a link shows it; it may have facts about the model if its owner shows them."""

    model_config = ConfigDict(extra="allow")

    seq: int
    role: MessageRole
    content: str
    timestamp: Instant | None = None
    parts: ShownParts = None
    unreadable: bool | None = None


class SharedOut(BaseModel):
    """A page of what a link shows.

    Attributes:
        mode: whether it is a snapshot, or what the conversation shows now.
        total: the number of messages of all pages.
        next: the next page; null on the last.
        link_pass: opens further pages for an hour in place of the password; null without one.
        may_copy: whether the caller is signed in, and can make a copy.
    """

    mode: LinkMode
    title: str
    system_prompt: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    messages: list[SharedMessageOut]
    total: int
    page: int
    next: int | None
    created_at: Instant
    expires_at: Instant
    link_pass: str | None
    may_copy: bool


def link_wire(link: Raw) -> Raw:
    """Return a stored link as the API shows it."""
    state = "open" if link["expires_at"] > now() else "expired"
    shown = {name: link[name] for name in LinkOut.model_fields if name in link}
    mode = link.get("mode", LinkMode.SNAPSHOT)
    return {
        **shown,
        "id": link["_id"],
        "mode": mode,
        "messages": None if mode == LinkMode.LIVE else link["messages"],
        "state": state if link["revoked_at"] is None else "revoked",
        "has_password": link["password_hash"] is not None,
    }


def new_link_wire(link: Raw, token: str | None) -> Raw:
    """Return a new link, with its token."""
    path = None if token is None else PAGE + token
    return {**link_wire(link), "token": token, "path": path}
