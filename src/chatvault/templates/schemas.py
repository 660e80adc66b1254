"""Request and response schemas of templates."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatvault.agents.schemas import Name, Prompt
from chatvault.conversations.models import MessageRole
from chatvault.conversations.schemas import Tags
from chatvault.conversations.templates import TemplateNotFound, variables_of
from chatvault.fields import Id, Instant, Raw, check_free

MAX_TEXT = 32_000
MAX_FIRST = 20

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(check_free)]


class TemplateMessageIn(BaseModel):
    """A message that a conversation begins with; `{{name}}` in it is a variable."""

    model_config = ConfigDict(extra="forbid")

    role: MessageRole
    content: Text


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    system_prompt: Prompt | None = Field(None, description="in place of the agent's")
    messages: Annotated[list[TemplateMessageIn], Field(max_length=MAX_FIRST)] = Field(
        default_factory=list
    )
    initial_message: Text | None = Field(None, description="sent to the agent at once")
    agent_id: Id | None = Field(None, description="who answers; none: the built-in agent")
    tags: Tags = Field(default_factory=list)
    category_id: Id | None = Field(None, description="one of my categories")


class TemplateCreate(_Fields):
    """A template to make; `{{name}}` in its texts is a variable."""

    name: Name


class TemplatePatch(_Fields):
    """Fields of a template to change; fields that are not named stay."""

    name: Name = ""

    def fields(self) -> Raw:
        """Return the fields to store."""
        return self.model_dump(mode="python", include=self.model_fields_set)


class TemplatePath(BaseModel):
    """One template."""

    template_id: Id

    @staticmethod
    def absent() -> TemplateNotFound:
        """Return the error for a malformed id."""
        return TemplateNotFound()


class TemplateMessageOut(BaseModel):
    """A message that a conversation begins with."""

    role: MessageRole
    content: str


class TemplateOut(BaseModel):
    """A template.

    Attributes:
        variables: the names of the variables in its texts, in the order of their places.
    """

    id: Id
    name: str
    system_prompt: str | None
    messages: list[TemplateMessageOut]
    initial_message: str | None
    agent_id: Id | None
    tags: list[str]
    category_id: Id | None
    variables: list[str]
    created_at: Instant
    updated_at: Instant


class TemplatesOut(BaseModel):
    """All my templates, by name."""

    templates: list[TemplateOut]


def template_wire(stored: Raw) -> Raw:
    """Return a template as the API shows it."""
    names = TemplateOut.model_fields.keys() - {"id", "variables"}
    return {
        "id": stored["_id"],
        **{name: stored[name] for name in TemplateOut.model_fields if name in names},
        "variables": variables_of(stored),
    }
