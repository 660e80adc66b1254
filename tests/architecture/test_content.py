"""What each collection declares of the words that it holds: see chatvault.content."""

from collections.abc import Iterator
from enum import Enum
from types import NoneType
from typing import Any, get_args

import pytest
from beanie import Document
from bson import ObjectId
from pydantic import BaseModel

from chatvault.accounts.models import User
from chatvault.content import Content, Erased
from chatvault.documents import DOCUMENTS, HOLDS
from conftest import HttpClient
from support.factories import begin, message

each = pytest.mark.parametrize("document", DOCUMENTS)
# What says nothing by its type of what it holds.
FREE = (str, dict, Any)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a field may have, and that its items may have."""
    arguments = [each for each in get_args(annotation) if each is not NoneType]
    origin = getattr(annotation, "__origin__", None)
    if origin is dict or not arguments:
        yield origin or annotation
    elif hasattr(annotation, "__metadata__"):
        yield arguments[0]
    else:
        for argument in arguments:
            yield from _kinds(argument)


def _paths(model: type[BaseModel]) -> Iterator[str]:
    """The fields of text or of free form, those of parts among them."""
    for name, field in model.model_fields.items():
        if name == "revision_id":  # Beanie's, stored by none of ours
            continue
        for kind in _kinds(field.annotation):
            is_class = isinstance(kind, type)
            if is_class and issubclass(kind, BaseModel):
                yield from (f"{name}.{path}" for path in _paths(kind))
            elif kind in FREE or (
                is_class and issubclass(kind, str) and not issubclass(kind, Enum)
            ):
                yield name


def _holds(document: type[Document]) -> Content:
    found: Content = vars(document)["holds"]
    return found


# Entries of the audit log that are not stored yet, which may be of anybody.
OF_NOBODY = {"pending_refusals"}
# Copies of what a backup has anyway, and names of files that it does not have.
COPIES = {"export_parts", "search_files", "import_uploads", "link_parts"}


class TestDeclarations:
    @each
    def test_name_every_field_of_text_or_free_form(self, document: type[Document]) -> None:
        holds = _holds(document)
        named = [*holds.words, *holds.plain]

        assert len(named) == len(set(named))
        assert set(named) == set(_paths(document))

    @each
    def test_delete_text_with_its_owner(self, document: type[Document]) -> None:
        holds = _holds(document)
        is_owned = holds.owner in document.model_fields or document is User

        assert not holds.words or holds.erased is Erased.WITH_OWNER
        assert holds.erased is not Erased.WITH_OWNER or is_owned

    @each
    def test_name_the_owner_by_whom_erasure_finds_it(self, document: type[Document]) -> None:
        holds = _holds(document)
        if holds.erased is Erased.NEVER or vars(document)["Settings"].name in OF_NOBODY:
            assert holds.erased_with(ObjectId()) is None
            return
        fields = {"_id" if name == "id" else name for name in document.model_fields}

        assert holds.owner in fields

    @each
    def test_include_text_in_backups(self, document: type[Document]) -> None:
        is_copy = vars(document)["Settings"].name in COPIES
        assert _holds(document).backed_up or is_copy or not _holds(document).words

    async def test_exist_for_each_collection(self, alice: HttpClient, database: Any) -> None:
        await begin(alice, messages=[message("a")])

        stored = set(await database.list_collection_names())

        assert not {name for name in stored - HOLDS.keys() if not name.startswith("system.")}

    def test_detect_an_undeclared_field(self) -> None:
        class Part(BaseModel):
            text: str | None = None
            count: int

        class Thing(BaseModel):
            title: str
            parts: list[Part]
            extra: dict[str, Any] | None = None
            tags: list[str]
            kind: Erased

        assert set(_paths(Thing)) == {"title", "parts.text", "extra", "tags"}

    def test_state_what_sealing_encrypts(self) -> None:
        sealed = {name for name, holds in HOLDS.items() if holds.sealed}
        assert sealed == {
            "agents", "api_keys", "attachment_parts", "attachments", "categories",
            "conversations", "export_parts", "groups", "holds", "import_uploads",
            "imports", "link_parts", "notes", "preferences",
            "reply_events", "revisions", "search_files", "segments", "templates",
        }  # fmt: skip
