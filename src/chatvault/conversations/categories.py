"""The categories of a user: one document with a tree of two levels, so that it changes at once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pydantic import BaseModel, Field
from pymongo import IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.errors import NotFound
from chatvault.fields import Id, Raw
from chatvault.owned import Owned


class CategoryNotFound(NotFound):
    """Category not found."""


class Category(BaseModel):
    """A category, or one within another.

    Attributes:
        parent_id: the category it is in; None at the top.
    """

    id: Id
    name: str
    parent_id: Id | None = None
    created_at: datetime
    updated_at: datetime

    holds: ClassVar = Content(words=("name",))


class Categories(Owned, Document):
    """All categories of one user, which are few.

    Attributes:
        assigned: how often a conversation was put into one; rises in the same transaction.
    """

    user_id: Id
    categories: list[Category] = Field(default_factory=list)
    assigned: int = 0

    holds: ClassVar = Content(exported=True, bound_to=()).with_parts("categories", Category.holds)

    class Settings:
        """Beanie's."""

        name = "categories"
        indexes: ClassVar = [IndexModel("user_id", unique=True, name="one_of_user")]

    @classmethod
    async def list_raw(cls, access: Access, session: AsyncClientSession | None = None) -> list[Raw]:
        """Return the owner's categories, as they are stored."""
        found = await cls.get_pymongo_collection().find_one(cls.owned_by(access), session=session)
        stored: list[Raw] = found["categories"] if found else []
        return stored

    @classmethod
    async def store(
        cls, access: Access, categories: list[Raw], session: AsyncClientSession
    ) -> None:
        """Store these as all categories of the owner."""
        change = {"$set": {"categories": categories}}
        collection = cls.get_pymongo_collection()
        await collection.update_one(cls.owned_by(access), change, upsert=True, session=session)


async def check_category(access: Access, category_id: ObjectId | None) -> None:
    """Check that the owner has a category; none at all is right, too.

    Raises:
        CategoryNotFound: there is no such category.
    """
    if category_id is None:
        return
    if all(each["id"] != category_id for each in await Categories.list_raw(access)):
        raise CategoryNotFound


def hold_category(
    access: Access, before: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[tuple[type[Document], UpdateOne]]:
    """Return the write beside changes of a conversation's fields that put it into a category.

    It matches nothing if the category does not exist, and conflicts with its removal at the same
    time; so no conversation is put into a category that is gone.
    """
    category_id = changes.get("category_id")
    if category_id is None or category_id == before.get("category_id"):
        return []
    mine = Categories.owned_by(access, **{"categories.id": category_id})
    return [(Categories, UpdateOne(mine, {"$inc": {"assigned": 1}}))]


async def list_paths(access: Access) -> dict[ObjectId, tuple[str, ...]]:
    """Return the names that lead to each category, from the top, by its id."""
    stored = await Categories.list_raw(access)
    names = {each["id"]: each["name"] for each in stored}
    return {
        each["id"]: (
            (each["name"],)
            if each["parent_id"] not in names
            else (names[each["parent_id"]], each["name"])
        )
        for each in stored
    }


async def list_family(access: Access, category_id: ObjectId) -> tuple[ObjectId, ...]:
    """Return a category's id, and those of the ones within it."""
    stored = await Categories.list_raw(access)
    within = (each["id"] for each in stored if each["parent_id"] == category_id)
    return (category_id, *within)
