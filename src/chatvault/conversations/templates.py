"""Templates of conversations, and filling in their variables."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pydantic import BaseModel, Field, ValidationError
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.conversations.categories import Categories
from chatvault.conversations.models import MessageRole
from chatvault.conversations.schemas import ConversationCreate
from chatvault.errors import FieldError, InvalidInput, NotFound
from chatvault.fields import Id, Raw
from chatvault.owned import Owned

# {{name}}, with spaces or without.
VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")
# The most characters of a template's texts together, without and with the values of variables.
MAX_TEXTS = 64_000
MAX_FILLED = 1_000_000
# The fields of a conversation that a template gives.
GIVEN = ("system_prompt", "messages", "initial_message", "agent_id", "tags", "category_id")


class TemplateNotFound(NotFound):
    """Template not found."""


class TemplateMessage(BaseModel):
    """A message that a conversation begins with."""

    role: MessageRole
    content: str

    holds: ClassVar = Content(words=("content",))


class Template(Owned, Document):
    """A template: what a new conversation begins with, with variables in its texts.

    Attributes:
        messages: the first messages.
        initial_message: sent to the agent at once.
    """

    user_id: Id
    name: str
    system_prompt: str | None = None
    messages: list[TemplateMessage] = Field(default_factory=list)
    initial_message: str | None = None
    agent_id: Id | None = None
    tags: list[str] = Field(default_factory=list)
    category_id: Id | None = None
    created_at: datetime
    updated_at: datetime

    holds: ClassVar = Content(
        words=("name", "system_prompt", "initial_message"), plain=("tags",), exported=True
    ).with_parts("messages", TemplateMessage.holds)

    class Settings:
        """Beanie's."""

        name = "templates"
        indexes: ClassVar = [IndexModel([("user_id", 1), ("_id", 1)])]

    @classmethod
    async def list_raw(cls, access: Access) -> list[Raw]:
        """Return the owner's templates by name."""
        found: list[Raw] = await cls.get_pymongo_collection().find(cls.owned_by(access)).to_list()
        return sorted(found, key=lambda each: (each["name"].casefold(), each["_id"]))

    @classmethod
    async def get_raw(
        cls, access: Access, template_id: ObjectId, session: AsyncClientSession | None = None
    ) -> Raw:
        """Return a template of the owner's.

        Raises:
            TemplateNotFound: there is none.
        """
        mine = cls.owned_by(access, _id=template_id)
        found: Raw | None = await cls.get_pymongo_collection().find_one(mine, session=session)
        if found is None:
            raise TemplateNotFound
        return found


def variables_of(template: Mapping[str, Any]) -> list[str]:
    """Return the names of the variables in a template's texts, in the order of their places."""
    return [*dict.fromkeys(name for text in texts_of(template) for name in VARIABLE.findall(text))]


def texts_of(template: Mapping[str, Any]) -> list[str]:
    """Return the texts of a template, in the order of their places."""
    texts = [
        template["system_prompt"],
        *(each["content"] for each in template["messages"]),
        template["initial_message"],
    ]
    return [text for text in texts if text]


def check_texts(template: Mapping[str, Any]) -> None:
    """Check that a template's texts are not too long together.

    Raises:
        InvalidInput: they are.
    """
    if sum(map(len, texts_of(template))) > MAX_TEXTS:
        detail = f"a template's texts have at most {MAX_TEXTS:,} characters together"
        raise InvalidInput.in_field("body", "messages", problem=detail, kind="template_too_long")


async def fill_in(access: Access, wanted: ConversationCreate) -> ConversationCreate:
    """Return the conversation that is wanted, with what its template gives.

    Fields that the request names stay. The category is left out if it was removed since.

    Raises:
        TemplateNotFound: the owner has no such template.
        InvalidInput: a variable is missing or unknown, or a text is too long with its value.
    """
    given = wanted.variables or {}
    if wanted.template_id is None:
        _check_variables([], given)
        return wanted
    template = await Template.get_raw(access, wanted.template_id)
    _check_variables(variables_of(template), given)
    _check_filled(template, given)
    fields = {name: _fill(template[name], given) for name in GIVEN if template[name]}
    known = await Categories.list_raw(access) if "category_id" in fields else []
    if fields.get("category_id") not in {each["id"] for each in known}:
        fields.pop("category_id", None)
    named = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    try:
        return ConversationCreate.model_validate(fields | named)
    except ValidationError as error:
        places = [".".join(map(str, each["loc"])) for each in error.errors(include_input=False)]
        detail = f"with these values the template's {', '.join(places)} cannot be stored"
        place, kind = ("body", "variables"), "template_not_storable"
        raise InvalidInput.in_field(*place, problem=detail, kind=kind) from None


def _check_variables(names: list[str], given: Mapping[str, str]) -> None:
    """Check that exactly these variables are given.

    Raises:
        InvalidInput: some are missing, or unknown.
    """
    missing = [
        FieldError(("body", "variables", name), "the template needs this variable", "missing")
        for name in names
        if name not in given
    ]
    unknown = [
        FieldError(("body", "variables", name), "the template has no such variable", "unknown")
        for name in given
        if name not in names
    ]
    if errors := (*missing, *unknown):
        told = "; ".join(f"variables.{each.loc[-1]}: {each.msg}" for each in errors[:3])
        raise InvalidInput(told, errors=errors)


def _check_filled(template: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Check that the texts are not too long with their values, before they are made.

    Raises:
        InvalidInput: they are; a short text can name a long value thousands of times.
    """
    size = sum(
        len(text) + sum(len(given[name]) for name in VARIABLE.findall(text))
        for text in texts_of(template)
    )
    if size > MAX_FILLED:
        detail = f"with these values the texts have more than {MAX_FILLED:,} characters"
        raise InvalidInput.in_field("body", "variables", problem=detail, kind="too_long")


def _fill(value: Any, given: Mapping[str, str]) -> Any:
    """Return a field's value with the variables filled in; values are not filled in again."""
    match value:
        case str():
            return VARIABLE.sub(lambda found: given[found[1]], value)
        case [{"content": _}, *_]:
            return [{**each, "content": _fill(each["content"], given)} for each in value]
        case _:
            return value
