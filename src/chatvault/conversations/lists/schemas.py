"""The conditions of a list of conversations, as requests name them."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chatvault.conversations.lists.filters import Filter, Selection
from chatvault.conversations.models import Status
from chatvault.conversations.schemas import Tag, stored_agent_id
from chatvault.fields import Id, Instant


def _to_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


# Given once or several times.
GivenTags = Annotated[list[Tag], BeforeValidator(_to_list), Field(max_length=64)]
GivenCategory = Annotated[
    Id | Literal["none"] | None,
    WithJsonSchema({"type": "string", "pattern": "^([0-9a-fA-F]{24}|none)$"}),
]


class ListedStatus(StrEnum):
    """The status of the conversations of a list."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


class ListFilter(BaseModel):
    """Conditions on conversations; those that are given all hold."""

    model_config = ConfigDict(extra="forbid")

    status: ListedStatus | None = Field(None, description="`deleted`: what is in the trash")
    agent_id: Id | None = Field(None, description="only conversations with this agent")
    tag: GivenTags = Field([], description="with each of these tags; may be repeated")
    any_tag: GivenTags = Field([], description="with at least one of these; may be repeated")
    category: GivenCategory = Field(
        None, description="in this category or one within it; `none`: in no category"
    )
    pinned: bool | None = None
    has_attachments: bool | None = None
    created_from: Instant | None = None
    created_to: Instant | None = Field(None, description="begun before this time")
    updated_from: Instant | None = None
    updated_to: Instant | None = Field(None, description="changed last before this time")

    @property
    def in_trash(self) -> bool:
        """Whether the trash is asked for."""
        return self.status is ListedStatus.DELETED

    def to_selection(self) -> Selection:
        """Return the conditions."""
        agent_id = None if self.agent_id is None else (stored_agent_id(self.agent_id),)
        which = Filter(
            in_trash=self.in_trash,
            status=None if self.status is None or self.in_trash else Status(self.status),
            agent_id=agent_id,
            tags=tuple(self.tag),
            any_tags=tuple(self.any_tag),
            pinned=self.pinned,
            created=(self.created_from, self.created_to),
            updated=(self.updated_from, self.updated_to),
        )
        return Selection(which, category=self.category, has_attachments=self.has_attachments)
