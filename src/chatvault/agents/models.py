"""The agent document, its queries, and the catalogue of model providers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pydantic import Field
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.content import Content
from chatvault.errors import NotFound, Unavailable
from chatvault.external import Provider
from chatvault.fields import Id, Raw
from chatvault.owned import Personal

# The built-in agent, used by conversations that name none. It is not stored.
DEFAULT_AGENT_ID = ObjectId("0" * 24)
DEFAULT_PROMPT = "You are a helpful assistant."


class ModelNotConfigured(Unavailable):
    """No model is configured, so nothing can be answered."""

    code = "model_not_configured"


class AgentNotFound(NotFound):
    """Agent not found."""


class Agent(Personal, Document):
    """An agent: the settings with which replies are made.

    Attributes:
        user_id: its owner.
        shared: available to all users; only an admin may change it.
        provider: a name from the settings; None means the default one.
        model: None means the provider's.
        temperature: None leaves it to the provider.
        max_conversation_tokens: how many tokens a conversation may use in all.
        conversation_memory_enabled: earlier messages are shown to the model.
        auto_generate_summary: what no longer fits is summarised, and the summary is shown.
        history_limit: the maximum number of messages in the context.
        allowed_tools: names of the tools that may be offered; None means all.
    """

    user_id: Id
    shared: bool = False
    name: str
    provider: str | None = None
    model: str | None = None
    system_prompt: str = DEFAULT_PROMPT
    temperature: float | None = 0.7
    max_conversation_tokens: int = 8000
    conversation_memory_enabled: bool = True
    auto_generate_summary: bool = True
    history_limit: int = 50
    allowed_tools: list[str] | None = None
    created_at: datetime
    updated_at: datetime
    version: int = Field(1)

    holds: ClassVar = Content(
        words=("name", "system_prompt"), plain=("provider", "model", "allowed_tools"), exported=True
    )

    class Settings:
        """Beanie's."""

        name = "agents"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("_id", 1)]),
            IndexModel([("shared", 1), ("_id", 1)], partialFilterExpression={"shared": True}),
        ]

    @classmethod
    def visible_to(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter for the agents an actor may use: their own and the shared ones."""
        return {"$or": [cls.owned_by(actor), {"shared": True}], **more}

    @classmethod
    async def list_raw(cls, actor: Actor) -> list[Raw]:
        """Return all agents that the actor may use, oldest first."""
        found = cls.get_pymongo_collection().find(cls.visible_to(actor))
        return await found.sort("_id", 1).to_list()

    @classmethod
    async def find_raw(
        cls, actor: Actor, agent_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw | None:
        """Return an agent that the actor may use, or None."""
        return await cls.get_pymongo_collection().find_one(
            cls.visible_to(actor, _id=agent_id), session=session
        )


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """The models that operators configured.

    Args:
        providers: from the settings.
        default: name of the default provider; None means the first.
    """

    providers: Mapping[str, Provider]
    default: str | None = None

    @property
    def default_name(self) -> str | None:
        """The name of the default provider."""
        return self.default or next(iter(self.providers), None)

    def find(self, name: str | None) -> tuple[str, Provider]:
        """Return the provider of this name, or the default one.

        Raises:
            ModelNotConfigured: there is none.
        """
        wanted = name or self.default_name
        if wanted is None:
            raise ModelNotConfigured(
                "No model is configured, so nothing can be answered; "
                "an operator sets CHATVAULT_PROVIDERS."
            )
        if wanted not in self.providers:
            raise ModelNotConfigured("The agent's provider is not configured any more.")
        found = self.providers[wanted]
        if (extra := found.missing_extra) is not None:
            raise ModelNotConfigured(
                f"The provider {wanted} needs a package that is not installed; "
                f"an operator runs `pip install 'chatvault-server[{extra}]'`."
            )
        return wanted, found
