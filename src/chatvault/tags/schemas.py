"""Request and response schemas of tags."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chatvault.conversations.schemas import Tag

MAX_TAGS = 10_000


class TagsQuery(BaseModel):
    """The query of a list of tags."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(1000, ge=1, le=MAX_TAGS)


class TagOut(BaseModel):
    """A tag, and how many conversations have it."""

    tag: str
    conversations: int


class TagsOut(BaseModel):
    """Tags, the most used ones first.

    Attributes:
        hasMore: whether there are more than these.
    """

    tags: list[TagOut]
    hasMore: bool  # noqa: N815  # the name clients know


class TagRename(BaseModel):
    """A new name for a tag."""

    model_config = ConfigDict(extra="forbid")

    tag: Tag
    to: Tag


class TagMerge(BaseModel):
    """Tags in whose place one is put."""

    model_config = ConfigDict(extra="forbid")

    tags: Annotated[list[Tag], Field(min_length=1, max_length=100)]
    into: Tag


class RetaggedOut(BaseModel):
    """The number of conversations that were changed."""

    conversations: int
