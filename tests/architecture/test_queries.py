"""Queries of somebody's data: each begins with its owner."""

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest
from beanie import Document
from pydantic import BaseModel

from chatvault.commands.models import Command, CommandDoc
from chatvault.conversations.models import Conversation, Message
from chatvault.conversations.segments import Revision, Segment
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RevisionDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.documents import DOCUMENTS
from chatvault.replies.models import Reply, ReplyDoc
from support.source import MODULES, Function, walk

# Queries on a user's data that no owner's name begins.
FREE_QUERIES = {
    ("Session", "find_by_hashes"): "finds who calls, before there is an actor",
}
# Who reaches the documents that hold messages, and what passes their codec there.
HOLD_MESSAGES = {
    "conversations/store.py": "decodes what is read",
    "conversations/commits/reader.py": "decodes what a group of changes reads",
    "conversations/commits/bulk.py": "writes segments, whose messages `cut` encodes",
    "conversations/commits/garbage.py": "reads ids and deletes",
    "conversations/models.py": "reads fields without messages",
    "usage/service.py": "counts",
}


SHAPES = [
    (Conversation, ConversationDoc),
    (Segment, SegmentDoc),
    (Revision, RevisionDoc),
    (Message, MessageDoc),
    (Reply, ReplyDoc),
    (Command, CommandDoc),
]
# Where an owner is named by hand.
BY_HAND = {
    "commands/proposals.py": "a document that is to be stored, by its type",
    "replies/start.py": "a document that is to be stored, by its type",
    "review/service.py": "an entry tells who acted; whose data it is about, its details",
}


def _names_owner(node: ast.AST) -> bool:
    """Whether it is a dictionary with `"user_id": actor.owner_id`."""
    return isinstance(node, ast.Dict) and any(
        isinstance(key, ast.Constant)
        and key.value == "user_id"
        and isinstance(value, ast.Attribute)
        and value.attr == "owner_id"
        and isinstance(value.value, ast.Name)
        and value.value.id == "actor"
        for key, value in zip(node.keys, node.values, strict=True)
    )


class TestFilters:
    def test_name_an_owner_in_owned_by_only(self) -> None:
        found = {
            path.as_posix(): node.lineno
            for path in MODULES
            for function in walk(path)
            if isinstance(function, Function) and function.name != "owned_by"
            for node in ast.walk(function)
            if isinstance(node, ast.Dict) and _names_owner(node)
        }
        assert found.keys() == BY_HAND.keys(), found


class TestDocuments:
    def test_of_a_user_are_reached_by_their_owner_only(self) -> None:
        for document in DOCUMENTS:
            if "user_id" not in document.model_fields or document.__name__ == "AuditEntry":
                continue
            for name, found in vars(document).items():
                if isinstance(found, classmethod) and (document.__name__, name) not in FREE_QUERIES:
                    parameters = list(inspect.signature(found.__func__).parameters)
                    if not name.startswith("_"):
                        assert parameters[1:2] == ["actor"], f"{document.__name__}.{name}"

    def test_with_messages_are_reached_by_their_store(self) -> None:
        holding = {"Conversation", "Segment", "Revision"}
        reached = {
            path.as_posix()
            for path in MODULES
            for node in walk(path)
            if isinstance(node, ast.Attribute) and node.attr == "get_pymongo_collection"
            if isinstance(node.value, ast.Name) and node.value.id in holding | {"cls"}
            if node.value.id in holding or path.as_posix() == "conversations/models.py"
        }
        assert reached == HOLD_MESSAGES.keys()

    @pytest.mark.parametrize(("model", "shape"), SHAPES)
    def test_have_the_shape_that_the_type_checker_sees(
        self, model: type[BaseModel], shape: Any
    ) -> None:
        stored = {"_id" if name == "id" else name for name in model.model_fields}
        if model is Message:
            stored = set(model.model_fields)
        assert shape.__required_keys__ | shape.__optional_keys__ == stored - {"revision_id"}

    def test_and_their_store_takes_who_asks(self) -> None:
        for name, found in vars(MessageStore).items():
            if isinstance(found, FunctionType) and not name.startswith("_"):
                parameters = inspect.signature(found).parameters
                assert "actor" in parameters or name == "decode_messages", name

    def test_carry_no_hooks(self) -> None:
        """Beanie skips them in bulk and query updates."""
        for document in DOCUMENTS:
            for name, found in vars(document).items():
                is_hook = isinstance(found, FunctionType) and hasattr(found, "event_types")
                assert not is_hook, f"{document.__name__}.{name}"

    def test_are_all_bound(self) -> None:
        def subclasses(kind: type[Document]) -> Iterator[type[Document]]:
            for child in kind.__subclasses__():
                yield child
                yield from subclasses(child)

        found = subclasses(Document)
        ours = {kind for kind in found if kind.__module__.startswith("chatvault.")}
        assert ours == set(DOCUMENTS)
