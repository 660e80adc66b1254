"""Request and response schemas of categories."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatvault.conversations.categories import CategoryNotFound
from chatvault.fields import Id, Instant, Raw, check_free

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120),
    AfterValidator(check_free),
]


class CategoryCreate(BaseModel):
    """A category to make."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    parent_id: Id | None = Field(None, description="the category that it is in; none: at the top")


class CategoryPatch(BaseModel):
    """Fields of a category to change; fields that are not named stay."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    parent_id: Id | None = None

    def fields(self) -> Raw:
        """Return the fields to store."""
        return self.model_dump(include=self.model_fields_set)


class CategoryPath(BaseModel):
    """One category."""

    category_id: Id

    @staticmethod
    def absent() -> CategoryNotFound:
        """Return the error for a malformed id."""
        return CategoryNotFound()


class CategoryOut(BaseModel):
    """A category.

    Attributes:
        conversations: how many are in it, without those in categories within it.
    """

    id: Id
    name: str
    parent_id: Id | None
    conversations: int
    created_at: Instant
    updated_at: Instant


class CategoriesOut(BaseModel):
    """All my categories, by name, each before those within it."""

    categories: list[CategoryOut]
