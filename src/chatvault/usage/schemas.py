"""Request and response schemas of statistics."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from bson import ObjectId
from bson.errors import InvalidId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chatvault.cursors import (
    decode_count_cursor,
    decode_name_cursor,
    encode_count_cursor,
    encode_name_cursor,
    not_ours,
)
from chatvault.fields import Id, Instant, Raw, first_day
from chatvault.limits import LimitName, LimitOf, LimitState


class StatsQuery(BaseModel):
    """The number of days that `tokens_per_day` covers."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(30, ge=1, le=366, description="days of `tokens_per_day`, today included")


class ActiveAgentOut(BaseModel):
    """The agent with the most messages; its name is null if it was removed."""

    id: Id
    name: str | None
    conversations: int
    messages: int


class DayOut(BaseModel):
    """Tokens that a day's replies used, titles and summaries included; days are UTC."""

    day: str
    tokens: int
    requests: int


class StatsOut(BaseModel):
    """A user's statistics."""

    total_conversations: int
    active_conversations: int
    archived_conversations: int
    total_messages: int
    total_tokens_used: int
    average_messages_per_conversation: float
    most_active_agent: ActiveAgentOut | None
    tokens_per_day: list[DayOut]


class UsageBy(StrEnum):
    """The grouping of counts."""

    USER = "user"
    DAY = "day"
    USER_AND_DAY = "user_and_day"


class DaysQuery(BaseModel):
    """The days of counts, which are UTC."""

    model_config: ClassVar = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    days: int = Field(
        30, ge=1, le=366, description="how far back, today included, where `from` does not say"
    )
    since: date | None = Field(None, alias="from", description="the first day, as 2026-11-01")
    until: date | None = Field(None, alias="to", description="the last day")

    def to_days(self) -> Raw:
        """Return the condition on the field `day`."""
        since = first_day(self.days) if self.since is None else self.since.isoformat()
        until: Raw = {} if self.until is None else {"$lte": self.until.isoformat()}
        return {"$gte": since, **until}


def _decode_cursor(text: object) -> tuple[int | str, ObjectId] | None:
    """Decode where the page before ended: a count or a day, and a user.

    Raises:
        PydanticCustomError: the text is not a cursor.
    """
    day, separator, user_id = (decode_name_cursor(text) or "").partition("/")
    if not separator:
        return decode_count_cursor(text)
    try:
        return day, ObjectId(user_id)
    except InvalidId:
        raise not_ours() from None


class UsageQuery(DaysQuery):
    """The query of counts: the users and the days."""

    by: UsageBy = UsageBy.USER
    user_id: Id | None = Field(None, description="whose, by id")
    user: str | None = Field(None, min_length=1, max_length=64, description="whose, by name or id")
    cursor: Annotated[
        Any,
        BeforeValidator(_decode_cursor),
        Field(
            description="where the page before ended; not by day",
            json_schema_extra={"type": "string"},
        ),
    ] = None
    limit: int = Field(100, ge=1, le=1000, description="rows; by day, all days are shown")


class DayUsageOut(BaseModel):
    """The counts of a day."""

    day: str
    input_tokens: int
    output_tokens: int
    total_tokens: int
    requests: int = Field(description="to models")
    messages: int = Field(description="written, asked for or imported")
    bytes: int = Field(description="by which conversations have grown")


class LimitOut(BaseModel):
    """A limit that holds for oneself, and what is used of it."""

    limit: LimitName
    of: LimitOf = Field(description="of whom: one's role, oneself, or the API key in use")
    amount: int
    used: int = Field(description="about; what worker processes have set aside counts as used")
    left: int
    resets_at: Instant | None = Field(
        description="when nothing is used again; null for bytes, and for a minute not yet begun"
    )


def limit_wire(state: LimitState) -> LimitOut:
    """Return a limit as the API shows it."""
    return LimitOut(
        limit=state.name,
        of=state.of,
        amount=state.amount,
        used=state.used,
        left=max(0, state.amount - state.used),
        resets_at=state.resets_at,
    )


class MyUsageOut(BaseModel):
    """One's own counts, and limits; there are none unless an administrator has set some."""

    stored_bytes: int = Field(description="of all messages, those in the trash included")
    limits: list[LimitOut]
    days: list[DayUsageOut]


class UsageOut(BaseModel):
    """The counts of a user, of a day, or of a user on a day.

    `username` is null where the account is gone, and in counts by day.
    """

    user_id: Id | None
    username: str | None
    day: str | None
    input_tokens: int
    output_tokens: int
    total_tokens: int
    requests: int = Field(description="to models")
    messages: int = Field(description="written, asked for or imported")
    bytes: int = Field(description="by which conversations have grown")


def cursor_after(by: UsageBy, row: Raw) -> str:
    """Return the cursor of the page that follows this row."""
    if by is UsageBy.USER_AND_DAY:
        return encode_name_cursor(f"{row['day']}/{row['user_id']}")
    return encode_count_cursor(row["total_tokens"], row["user_id"])
