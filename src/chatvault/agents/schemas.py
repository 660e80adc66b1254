"""Request and response schemas of agents."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatvault.agents.models import DEFAULT_PROMPT
from chatvault.fields import Id, Instant, Raw, check_free

MAX_PROMPT = 32_000

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT), AfterValidator(check_free)]
ProviderName = Annotated[str, Field(min_length=1, max_length=120, description="from the settings")]
ModelName = Annotated[
    str, Field(min_length=1, max_length=255, description="none: the provider's own choice")
]
Temperature = Annotated[float, Field(ge=0, le=2)]
MaxTokens = Annotated[
    int, Field(ge=1, le=100_000_000, description="tokens a conversation may use in all")
]
HistoryLimit = Annotated[int, Field(ge=1, le=1000, description="messages shown to the model")]
Tools = Annotated[list[ToolName], Field(max_length=256)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    provider: ProviderName | None = None
    model: ModelName | None = None
    temperature: Temperature | None = 0.7
    allowed_tools: Tools | None = Field(None, description="none: all that there are")
    shared: bool = Field(default=False, description="offered to all; for admins")


class AgentCreate(_Fields):
    """An agent to make."""

    name: Name
    system_prompt: Prompt = DEFAULT_PROMPT
    max_conversation_tokens: MaxTokens = 8000
    conversation_memory_enabled: bool = True
    auto_generate_summary: bool = True
    history_limit: HistoryLimit = 50


class AgentPatch(_Fields):
    """Fields of an agent to change; null leaves the choice to the provider and the settings."""

    name: Name = ""
    system_prompt: Prompt = DEFAULT_PROMPT
    max_conversation_tokens: MaxTokens = 8000
    conversation_memory_enabled: bool = True
    auto_generate_summary: bool = True
    history_limit: HistoryLimit = 50

    def fields(self) -> Raw:
        """Return the fields to store."""
        return self.model_dump(include=self.model_fields_set)


class AgentPath(BaseModel):
    """One agent."""

    agent_id: Id


class AgentOut(BaseModel):
    """An agent.

    Attributes:
        built_in: whether it is the default agent, which always exists.
        mine: whether the reader owns it.
    """

    model_config = ConfigDict(protected_namespaces=())

    id: Id
    name: str
    provider: str | None
    model: str | None
    system_prompt: str
    temperature: float | None
    max_conversation_tokens: int
    conversation_memory_enabled: bool
    auto_generate_summary: bool
    history_limit: int
    allowed_tools: list[str] | None
    shared: bool
    built_in: bool
    mine: bool
    created_at: Instant | None
    updated_at: Instant | None


class ProviderOut(BaseModel):
    """A provider of models, without its URL, key and prices."""

    name: str
    model: str
    is_default: bool


class AgentsOut(BaseModel):
    """All agents that the reader may use, and whether they can answer.

    Attributes:
        detail: what is missing where no model is configured.
    """

    model_config = ConfigDict(protected_namespaces=())

    agents: list[AgentOut]
    providers: list[ProviderOut]
    model_configured: bool
    detail: str | None


def agent_wire(stored: Raw, reader: Any) -> Raw:
    """Return an agent as the API shows it."""
    names = AgentOut.model_fields.keys() - {"id", "built_in", "mine"}
    built_in = stored["user_id"] is None
    return {
        "id": stored["_id"],
        "built_in": built_in,
        "mine": stored["user_id"] == reader,
        **{name: stored[name] for name in AgentOut.model_fields if name in names},
    }
