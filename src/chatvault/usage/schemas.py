"""Request and response schemas of statistics."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chatvault.cursors import decode_count_cursor
from chatvault.fields import Id, Raw


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
    """The grouping of token counts."""

    USER = "user"
    DAY = "day"


class UsageQuery(BaseModel):
    """The query of token counts: the user and the days."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    by: UsageBy = UsageBy.USER
    user_id: Id | None = Field(None, description="whose")
    days: int = Field(30, ge=1, le=366, description="how far back, today included; days are UTC")
    cursor: Annotated[
        Any,
        BeforeValidator(decode_count_cursor),
        Field(
            description="where the page before ended; of users",
            json_schema_extra={"type": "string"},
        ),
    ] = None
    limit: int = Field(100, ge=1, le=1000, description="users; days are all shown")

    def to_filter(self, since: str) -> Raw:
        """Return the MongoDB filter.

        Args:
            since: the first day.
        """
        whose: Raw = {} if self.user_id is None else {"user_id": self.user_id}
        return {**whose, "day": {"$gte": since}}


class UsageOut(BaseModel):
    """The token counts of a user, or of a day.

    `username` is null where the account is gone, and in counts by day.
    """

    user_id: Id | None
    username: str | None
    day: str | None
    input_tokens: int
    output_tokens: int
    total_tokens: int
    requests: int
