"""Requests and answers of operations that only other clients know."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatvault.conversations.schemas import MessageId
from chatvault.fields import FreeObject, Id
from chatvault.replies.models import State
from chatvault.replies.schemas import ReplyIn


class ArchivedOut(BaseModel):
    """Whether a conversation is archived now."""

    success: Literal[True] = True
    archived: bool


class SendIn(BaseModel):
    """A message of the user's, which the agent answers."""

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1)
    role: Literal["user"] = "user"
    id: MessageId | None = None
    agent_id: Id | None = None
    metadata: FreeObject | None = None

    def to_reply(self) -> ReplyIn:
        """Return the request for a reply."""
        return ReplyIn(**self.model_dump(exclude={"role"}))


class SentOut(BaseModel):
    """A message that was sent, and its answer.

    Attributes:
        message_id: the user's message.
        assistant_message: null if the answer ended without any text.
        total_tokens_used: by this exchange.
        conversation_total_tokens: by the conversation so far.
    """

    conversation_id: Id
    message_id: str
    assistant_message: dict[str, Any] | None
    total_tokens_used: int
    conversation_total_tokens: int
    reply_id: Id
    state: State
