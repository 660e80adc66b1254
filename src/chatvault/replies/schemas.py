"""Request and response schemas of replies."""

from functools import partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from chatvault.conversations.message_schemas import MessageOut
from chatvault.conversations.parts import FilePart
from chatvault.conversations.schemas import ConversationPath, MessageId
from chatvault.errors import NotFound
from chatvault.fields import MAX_FREE_BYTES, FreeObject, Id
from chatvault.mongodb.storable import check_storable
from chatvault.replies.models import Mode, State

# Pictures are part of messages.
MAX_BODY = 32 * 1024 * 1024
MAX_FILES = 20


class ReplyIn(BaseModel):
    """A message to answer, or a request for another answer to the last one."""

    model_config = ConfigDict(extra="forbid")

    content: str | None = Field(None, min_length=1, description="absent with `regenerate`")
    id: MessageId | None = Field(
        None, description="of the message; asked again with the same one, it is not stored twice"
    )
    agent_id: Id | None = Field(None, description="answers instead of the conversation's agent")
    metadata: FreeObject | None = Field(None, description="kept with the message")
    files: Annotated[list[FilePart], Field(min_length=1, max_length=MAX_FILES)] | None = Field(
        None, description="attachments that the message shows; models do not read them"
    )
    regenerate: Mode | None = Field(
        None,
        description="replace: the new answer takes the last one's place, which becomes a revision; "
        "branch: it stands beside it; where there is no answer yet, it is asked for",
        json_schema_extra={"enum": ["replace", "branch"]},
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.regenerate is Mode.APPEND:
            raise ValueError("regenerate is replace or branch")
        if (self.content is None) == (self.regenerate is None):
            raise ValueError("either content or regenerate")
        if self.files is not None and self.content is None:
            raise ValueError("files come with content")
        reason = check_storable(self.files or [], max_bytes=MAX_FREE_BYTES)
        if reason is not None:
            raise PydanticCustomError("not_storable", "{reason}", {"reason": f"files {reason}"})
        return self


class ReplyPath(ConversationPath):
    """One reply, which is looked for in one conversation."""

    absent: ClassVar = partial(NotFound, "Reply not found")
    reply_id: Id


class ReplyOut(BaseModel):
    """An exchange: a message, its answer, and the tokens used.

    Attributes:
        user_message: null if an answer was regenerated.
        assistant_message: null if it ended without any text.
        total_tokens_used: by this exchange.
        conversation_total_tokens: by the conversation so far.
    """

    reply_id: Id
    conversation_id: Id
    state: State
    user_message: MessageOut | None
    assistant_message: MessageOut | None
    total_tokens_used: int
    conversation_total_tokens: int


class ReplyStateOut(BaseModel):
    """The state of a reply."""

    reply_id: Id
    conversation_id: Id
    state: State
    code: str | None
    answer_id: str


class ContextQuery(BaseModel):
    """The message for which to build the context."""

    model_config = ConfigDict(extra="forbid")

    content: str | None = Field(None, min_length=1, description="as if this were sent now")
    agent_id: Id | None = None


class ContextOut(BaseModel):
    """Exactly what would be sent to the model.

    Attributes:
        messages: the messages in OpenAI's shape.
        tools: the tools that the model is offered, in OpenAI's shape.
        tokens: the number of all tokens, as counted here.
        message_ids: the ids of the stored messages in it.
        left_out: the number of stored messages that are left out.
        max_output_tokens: the tokens that remain for the answer.
    """

    agent_id: Id
    provider: str | None
    model: str
    temperature: float | None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    tokens: int
    message_ids: list[str]
    left_out: int
    summary_used: bool
    max_conversation_tokens: int
    total_tokens_used: int
    reserved_tokens: int
    max_output_tokens: int


class FollowHeaders(BaseModel):
    """The headers of a request for a reply's events."""

    last_event_id: Annotated[int, Field(alias="Last-Event-ID", ge=0, le=2**53)] = 0


class SummaryOut(BaseModel):
    """A conversation's summary; null, with the reason, if it is too short."""

    summary: str | None
    detail: str | None


def _check_wire(value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    reason = None if value is None else check_storable(value, max_bytes=MAX_BODY)
    if reason is not None:
        raise PydanticCustomError("not_storable", "{reason}", {"reason": reason})
    return value


# One error is enough for a list without objects.
Wire = Annotated[list[dict[str, Any]], Field(fail_fast=True)]


class CompletionIn(BaseModel):
    """A chat completion in OpenAI's shape; any `model` means the configured one."""

    model_config = ConfigDict(extra="allow")

    messages: Annotated[Wire, AfterValidator(_check_wire)]
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: Annotated[Wire | None, AfterValidator(_check_wire)] = None
    store: bool | None = Field(
        None, description="keeps the exchange as a conversation, if the request names none"
    )
    metadata: FreeObject | None = Field(None, description="of the conversation that `store` makes")

    @property
    def limit(self) -> int | None:
        """The limit of the answer's tokens, under either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        options = (self.model_extra or {}).get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    def options(self) -> dict[str, Any]:
        """Return the further parameters that are passed to the provider."""
        extra = self.model_extra or {}
        given = {name: extra[name] for name in PASSED_ON if name in extra}
        return given | ({"tools": self.tools} if self.tools else {})


PASSED_ON = (
    "frequency_penalty",
    "parallel_tool_calls",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "tool_choice",
    "top_p",
)


class ConversationHeaders(BaseModel):
    """The conversation in which to record an exchange."""

    conversation_id: Id | None = Field(
        None, alias="X-Conversation-Id", description="the conversation that records the exchange"
    )


class ModelOut(BaseModel):
    """The configured model."""

    model_config = ConfigDict(protected_namespaces=())

    model: str | None
    gpu_backend: str | None


class GpuOut(BaseModel):
    """The GPU that the frontend shows."""

    gpu_available: bool
    gpu_name: str | None
    ollama_gpu_accelerated: bool
    ollama_model: str | None
