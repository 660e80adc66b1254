"""Statistics as they go over the wire."""

from pydantic import BaseModel, ConfigDict, Field

from chatvault.fields import Id


class StatsQuery(BaseModel):
    """How far back the days go."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(30, ge=1, le=366, description="days of `tokens_per_day`, today included")


class ActiveAgentOut(BaseModel):
    """The agent with the most messages; its name is null where it is gone."""

    id: Id
    name: str | None
    conversations: int
    messages: int


class DayOut(BaseModel):
    """What a day's replies used, titles and summaries included; days are UTC."""

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
