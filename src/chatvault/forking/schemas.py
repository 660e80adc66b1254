"""The request schema of forks."""

from pydantic import BaseModel, ConfigDict, Field

from chatvault.conversations.schemas import MessageId, Title


class ForkIn(BaseModel):
    """The messages and the title of a new conversation."""

    model_config = ConfigDict(extra="forbid")

    up_to: MessageId | None = Field(
        None, description="the last message that it has; none: the last of the branch"
    )
    leaf: MessageId | None = Field(
        None, description="a message of the branch; none: the one of `up_to`, or the one shown"
    )
    title: Title | None = Field(None, description="none: that of the conversation")
