"""Request and response schemas of quotas."""

from typing import Annotated, Any, ClassVar

from bson import ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.json_schema import WithJsonSchema

from chatvault.actor import Role
from chatvault.cursors import decode_name_cursor
from chatvault.errors import NotFound
from chatvault.fields import Id, Instant, Raw
from chatvault.limits import LimitName
from chatvault.quotas.models import Subject

# The largest integer that every JSON parser keeps.
MOST = 2**53 - 1
Amount = Annotated[int, Field(ge=0, le=MOST)]


def _to_subject(text: object) -> Subject:
    return text if isinstance(text, Subject) else Subject.parse(str(text))


SubjectName = Annotated[
    Any,
    BeforeValidator(_to_subject),
    PlainSerializer(lambda subject: subject.name, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(user|auditor|admin|(key:)?[0-9a-fA-F]{24})$"}),
]


class QuotaPath(BaseModel):
    """The subject of a quota in a path."""

    subject: SubjectName = Field(
        description="a role, the id of a user, or `key:` and the id of an API key"
    )

    @staticmethod
    def absent() -> NotFound:
        """Return the error for a text that names no subject."""
        return NotFound("There is no such role, user or API key")


class QuotasQuery(BaseModel):
    """A page of quotas."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[
        Any,
        BeforeValidator(decode_name_cursor),
        Field(description="where the page before ended", json_schema_extra={"type": "string"}),
    ] = None
    limit: int = Field(100, ge=1, le=1000)


class QuotaIn(BaseModel):
    """The limits that a subject is to have; one that is left out or null is none."""

    model_config: ClassVar = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"writes_per_minute": 600, "stored_bytes": 10**9}]},
    )

    reads_per_minute: Amount | None = None
    writes_per_minute: Amount | None = None
    searches_per_minute: Amount | None = None
    exports_per_minute: Amount | None = None
    messages_per_day: Amount | None = Field(None, description="days are UTC")
    stored_bytes: Amount | None = Field(
        None, description="of messages, those in the trash included; not of an API key"
    )
    tokens_per_day: Amount | None = Field(None, description="days are UTC; not of an API key")

    def to_limits(self) -> dict[str, int]:
        """Return the limits that are set."""
        return {str(name): value for name, value in self if value is not None}


class QuotaOut(BaseModel):
    """The limits of a role, a user or an API key; null is no limit.

    Attributes:
        subject: the name that paths have.
        user_id: the user, or the owner of the API key.
    """

    subject: str
    role: Role | None
    user_id: Id | None
    key_id: Id | None
    updated_at: Instant | None
    reads_per_minute: int | None
    writes_per_minute: int | None
    searches_per_minute: int | None
    exports_per_minute: int | None
    messages_per_day: int | None
    stored_bytes: int | None
    tokens_per_day: int | None


class ListedQuotaOut(QuotaOut):
    """The limits of a role, a user or an API key, with a name.

    Attributes:
        username: of the user, or of the owner of the API key.
    """

    username: str | None


def listed_quota_wire(quota: Raw) -> ListedQuotaOut:
    """Return a stored quota, with the name of its user, as the API lists it."""
    return ListedQuotaOut(username=quota["username"], **dict(quota_wire(quota)))


def quota_wire(quota: Raw) -> QuotaOut:
    """Return a stored quota as the API shows it."""
    subject = Subject.parse(quota["_id"])
    owner: ObjectId | None = quota.get("user_id")
    return QuotaOut(
        subject=subject.name,
        role=subject.role,
        user_id=owner,
        key_id=subject.key_id,
        updated_at=quota.get("updated_at"),
        **{name.value: quota["limits"].get(name) for name in LimitName},
    )
