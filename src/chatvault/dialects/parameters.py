"""Query parameters that other clients know, and what they stand for."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from chatvault.conversations.lists.filters import Sort
from chatvault.conversations.reading.listing import MAX_LISTED
from chatvault.fields import Id

PAGE_SIZE = 20
# Far beyond what anybody has; a list's offset has the same limit.
MAX_PAGE = 10**9 // MAX_LISTED
ORDERS = {each.field: each for each in Sort}


class ShownNames(BaseModel):
    """The names that an answer has."""

    names: Literal["all"] | None = Field(None, description="all: the other names beside ours")


class AgentName(BaseModel):
    """The agent, under its other name."""

    squad_member_id: Id | None = None

    def to_ours(self) -> Mapping[str, Any]:
        """Return our parameters that these stand for."""
        return {} if self.squad_member_id is None else {"agent_id": str(self.squad_member_id)}


class ListNames(ShownNames, AgentName):
    """The other parameters of a list of conversations.

    Attributes:
        order: a time of the conversation, or its title.
    """

    page: int | None = Field(None, ge=1, le=MAX_PAGE)
    page_size: int | None = Field(None, ge=1, le=MAX_LISTED)
    order: Literal["updated_at", "created_at", "last_message_at", "title"] | None = None

    @property
    def is_page(self) -> bool:
        """Whether the answer is a page with its number, in place of a bare array."""
        return self.page is not None or self.page_size is not None

    @property
    def size(self) -> int:
        """The most conversations of a page."""
        return self.page_size or PAGE_SIZE

    @property
    def number(self) -> int:
        """The page's number, from 1 on."""
        return self.page or 1

    def to_ours(self) -> Mapping[str, Any]:
        """Return our parameters that these stand for."""
        ours = dict(super().to_ours())
        if self.order is not None:
            ours["sort"] = ORDERS[self.order].value
        if self.is_page:
            ours["limit"] = str(self.size)
            ours["offset"] = str((self.number - 1) * self.size)
            ours |= {"count": "true", "cursor": None}
        return ours

    def show_page(self, conversations: object, total: int) -> dict[str, Any]:
        """Return the conversations as a page."""
        return {
            "conversations": conversations,
            "total": total,
            "page": self.number,
            "page_size": self.size,
            "has_more": self.number * self.size < total,
        }
