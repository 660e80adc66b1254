"""Queries of somebody's data: each begins with its owner."""

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest
from beanie import Document
from bson import ObjectId
from pydantic import BaseModel

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor, Door
from chatvault.attachments.models import Attachment, AttachmentFile, AttachmentPart
from chatvault.batches.models import BatchChanges, BatchIds, BatchJob
from chatvault.commands.models import Command, CommandDoc
from chatvault.conversations.categories import Categories
from chatvault.conversations.holds import Hold
from chatvault.conversations.links import Link, LinkPart
from chatvault.conversations.models import Conversation, Message
from chatvault.conversations.notes import Note
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.segments import PendingDeletion, Revision, Segment
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RevisionDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.templates import Template
from chatvault.conversations.tombstones import Tombstone
from chatvault.documents import DOCUMENTS
from chatvault.errors import NotAuthenticated
from chatvault.groups.models import ClaimTask, GroupTask
from chatvault.importing.models import ImportJob, Upload
from chatvault.replies.models import Job, Reply, ReplyDoc, ReplyEvents
from chatvault.search.models import SearchFile, SearchIndex, SearchPending
from support.source import MODULES, Function, called, names_assigned, walk

pytestmark = pytest.mark.xdist_group("source")

# Queries on a user's data that no owner's name begins.
FREE_QUERIES = {
    ("Session", "find_by_hashes"): "finds who calls, before there is an actor",
    ("Link", "find_by_hash"): "whoever has the token may read, and is no owner",
    ("ApiKey", "find_by_hashes"): "finds who calls, before there is an actor",
    ("ApiKey", "find_usable_ids"): "a process asks for the keys whose requests it is answering",
    ("User", "require_kept"): "asks whether an account is there",
    ("Erasure", "list_open"): "each process drops what it has of erased users",
    ("Erasure", "take"): "takes what is due, whoever's it is",
    ("Erasure", "move"): "the erased person has no account, and is no actor",
    ("Erasure", "note_removed_file"): "the same",
    ("Erasure", "find_raw"): "the same; read with its token",
    ("Session", "find_active"): "looks at the sessions of open connections, whoever's they are",
}
# Who reaches the documents that hold messages, and what passes their codec there.
HOLD_MESSAGES = {
    "conversations/store.py": "decodes what is read",
    "conversations/commits/reader.py": "decodes what a group of changes reads",
    "conversations/commits/bulk.py": "writes segments, whose messages `cut` encodes",
    "conversations/commits/garbage.py": "reads ids and deletes",
    "conversations/models.py": "reads fields without messages",
    "conversations/presence.py": "counts",
    "conversations/newest.py": "lists fields without messages",
    "conversations/lists/last_message.py": "compares times",
    "conversations/reading/picking.py": "decodes what is read",
    "conversations/reading/places.py": "decodes the newest messages with its store's codec",
    "conversations/released.py": "deletes",
    "conversations/trash/queries.py": "decodes what is read with its store",
    "conversations/reading/tree.py": "reads links, ids and which messages are deleted",
    "administration/service.py": "counts",
    "conversations/tag_counts.py": "counts",
    "usage/service.py": "counts",
    "usage/metering.py": "counts",
}


SHAPES = [
    (Conversation, ConversationDoc),
    (Segment, SegmentDoc),
    (Revision, RevisionDoc),
    (Message, MessageDoc),
    (Reply, ReplyDoc),
    (Command, CommandDoc),
]
# Where an owner is named by hand; a filter may repeat the owner of a document that was read.
BY_HAND = {
    "batches/worker.py": "an entry tells who acted, which is the owner",
    "commands/proposals.py": "a document that is to be stored, by its type",
    "conversations/segments.py": "a document that is to be stored, by its type",
    "replies/events.py": "a document that is to be stored",
    "replies/start.py": "a document that is to be stored, by its type",
    "review/service.py": "an entry tells who acted; whose data it is about, its details",
}
# Whose data is asked for with an access; of the rest, each is its owner's alone.
ASKED_WITH_ACCESS = {
    Attachment, AttachmentFile, AttachmentPart,
    Conversation, Segment, PathRuns, Revision, PendingDeletion, Reply, ReplyEvents, Job, Command,
    Tombstone, Hold, Upload, ImportJob, Categories, SearchIndex, SearchFile, SearchPending,
    BatchJob, BatchIds, BatchChanges, Template, Link, LinkPart, Note, GroupTask,
    ClaimTask,
}  # fmt: skip
# Where the domains of these mean the person who acts.
MEAN_THE_PERSON = {
    "conversations/grants.py: given_to": "a person's grants",
    "conversations/grants.py: to_guest": "a person's grants",
    "commands/permissions.py: find": "a person's role",
    "commands/permissions.py: set_rule": "a person's rules",
    "commands/permissions.py: remove_rule": "a person's rules",
    "commands/service.py: execute": "a person's rate",
    "conversations/commits/batch.py: _decide_once": "a person's idempotency keys",
    "conversations/commits/batch.py: _replay": "a person's idempotency keys",
    "replies/deps.py: take_turn": "a person's rate",
}
# Queries on these that begin otherwise.
OTHER_QUERIES = {
    "find_by_hash": "whoever has the token of a link may read",
    "read_needs": "by the users whom the grants are for, in a transaction",
    "collect": "garbage collection of all users' segments",
    "_some_ids": "by the owner of the pending deletion",
    "release_lifted": "ends lifted holds, whoever's data they are of",
    "list_due": "everybody's trash, to be purged by the background work",
    "sweep": "removes expired documents of all users",
    "_renew": "renews the leases of this process",
    "_stop_cancelled": "stops replies of this process",
    "reap": "interrupts replies of processes that ended, of all users",
    "_take": "leases the next job of any user",
    "list_of": "by the group, of all owners; who is in it has asked",
    "_sweep": "ends jobs whose files no machine has, of all users",
}
# Who sees conversations in the trash, which `Conversation.owned_by` leaves out.
SEE_TRASH = {
    "conversations/commits/reader.py": "each change says whether it sees the trash",
    "conversations/commits/working_copy.py": "writes what was read, by its version",
    "conversations/store.py": "reads what a legal hold keeps",
    "conversations/models.py": "sources of imports: nothing in the trash has one",
    "conversations/lists/ordered.py": "lists the trash, if it is asked for",
    "conversations/lists/last_message.py": "compares times, of the trash as well",
    "conversations/trash/queries.py": "the queries of the trash",
    "usage/metering.py": "counts the bytes of all that is stored",
}
# The changes that concern a conversation in the trash as well.
CHANGE_TRASH = {
    "conversations/trash/authored.py": "erases what a guest wrote",
    "groups/expansion.py": "grants of a group, which count if the conversation is restored",
    "commands/runner.py": "a result, which is there if the conversation is restored",
    "conversations/trash/service.py": "restores and deletes permanently",
    "replies/finish.py": "an answer, which is there if the conversation is restored",
}
FILTERS = {"owned_by", "owned_with_trash_by"}
WITH_TRASH = {"owned_with_trash_by", "trashed_by"}
# Fields that documents get when they are decoded.
NEVER_STORED = {"stored", "damaged", "unreadable"}
READS = {"find", "find_one", "find_one_and_update", "count_documents", "aggregate", "distinct"}


def _names_owner(node: ast.AST) -> bool:
    """Whether it is a dictionary whose `user_id` is somebody's `owner_id`."""
    return isinstance(node, ast.Dict) and any(
        isinstance(key, ast.Constant)
        and key.value == "user_id"
        and "owner_id" in {getattr(value, "attr", None), getattr(value, "id", None)}
        for key, value in zip(node.keys, node.values, strict=True)
    )


def _assigned(name: str, function: Function) -> ast.expr | None:
    """What a function gives a name first."""
    given = (
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in names_assigned(node)
    )
    return next(given, None)


def _begins_with_owner(query: ast.expr | None, function: Function) -> bool:
    """Whether a filter, or each of its alternatives, comes of `owned_by`, or of what was read."""
    within: list[ast.expr | None] = []
    match query:
        case ast.Call():
            return called(query) in {"owned_by", "_query", *WITH_TRASH}
        case ast.Dict(keys=keys, values=values):
            named = {
                key.value if isinstance(key, ast.Constant) else None: value
                for key, value in zip(keys, values, strict=True)
            }
            if isinstance(named.get("user_id"), ast.Subscript):
                return True
            within = [named.get(None) or named.get("$or") or named.get("$match")]
        case ast.BinOp(left=part) | ast.ListComp(elt=part) | ast.Subscript(value=part):
            within = [part]
        case ast.IfExp(body=body, orelse=orelse):
            within = [body, orelse]
        case ast.List(elts=[first, *_]):
            within = [first]
        case ast.Name(id=name):
            within = [_assigned(name, function)]
        case _:
            return False
    return all(_begins_with_owner(each, function) for each in within)


def _collection_of(asked: ast.expr | None, function: Function) -> str:
    """The document whose collection is asked; nothing where it is none."""
    match asked:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get_pymongo_collection")):
            return name
        case ast.Call(func=ast.Name(id="_conversations" | "_segments")):
            return "Segment"
        case ast.Name(id=name):
            return _collection_of(_assigned(name, function), function)
        case _:
            return ""


def _queries(function: Function) -> Iterator[ast.expr | None]:
    """The filters with which a function reads what is asked for with an access."""
    asked = {document.__name__ for document in ASKED_WITH_ACCESS} | {"cls", "document"}
    for call in ast.walk(function):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr in READS and _collection_of(call.func.value, function) in asked:
            yield call.args[0] if call.args else None


class TestFilters:
    def test_name_an_owner_in_owned_by_only(self) -> None:
        found = {
            path.as_posix(): node.lineno
            for path in MODULES
            for function in walk(path)
            if isinstance(function, Function) and function.name not in FILTERS
            for node in ast.walk(function)
            if isinstance(node, ast.Dict) and _names_owner(node)
        }
        assert found.keys() == BY_HAND.keys(), found

    def test_leave_out_the_trash_unless_listed(self) -> None:
        access = Access.of(Actor(door=Door.HTTP, user_id=ObjectId()))
        assert Conversation.owned_by(access, _id=1)["status"] == {"$ne": "deleted"}
        nodes = [(path.as_posix(), node) for path in MODULES for node in walk(path)]
        sees = {
            path
            for path, node in nodes
            if isinstance(node, ast.Attribute) and node.attr in WITH_TRASH
        }
        assert sees == SEE_TRASH.keys()
        changes = {
            path
            for path, node in nodes
            if isinstance(node, ast.keyword) and node.arg == "sees_trash"
        }
        assert changes - {"conversations/commits/batch.py"} == CHANGE_TRASH.keys()

    def test_begin_with_an_access(self) -> None:
        domains = {
            "attachments",
            "conversations",
            "replies",
            "commands",
            "completions",
            "importing",
            "usage",
        }
        functions = [
            node
            for path in MODULES
            if path.parts[0] in domains
            for node in walk(path)
            if isinstance(node, Function)
        ]
        queries = [(each.name, query, each) for each in functions for query in _queries(each)]
        assert len(queries) > 25
        other = {name for name, query, each in queries if not _begins_with_owner(query, each)}
        assert other == OTHER_QUERIES.keys()

    def test_use_the_acting_user_only_if_listed(self) -> None:
        domains = ("conversations", "replies", "commands")
        found = {
            f"{path.as_posix()}: {function.name}"
            for path in MODULES
            if path.parts[0] in domains
            for function in walk(path)
            if isinstance(function, Function)
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute) and node.attr == "owner_id"
            if "actor" in {getattr(node.value, "id", None), getattr(node.value, "attr", None)}
        }
        assert found == MEAN_THE_PERSON.keys()


class TestAccess:
    def test_is_made_in_one_place(self) -> None:
        made = {
            path.as_posix()
            for path in MODULES
            for node in walk(path)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Access"
        }
        assert not {name for name in made if name not in {"access.py", "conversations/grants.py"}}

    def test_is_to_the_actors_own_data(self) -> None:
        actor = Actor(door=Door.HTTP, user_id=ObjectId())

        assert Access.of(actor) == Access(actor.owner_id, Need.MANAGE)

    async def test_to_a_conversation_takes_no_query(self) -> None:
        actor = Actor(door=Door.HTTP, user_id=ObjectId())

        assert await resolve(actor, ObjectId(), Need.WRITE) == Access.of(actor)

    async def test_requires_a_session(self) -> None:
        with pytest.raises(NotAuthenticated):
            await resolve(Actor(door=Door.HTTP), ObjectId(), Need.READ)


class TestDocuments:
    def test_of_a_user_are_queried_by_owner_only(self) -> None:
        for document in DOCUMENTS:
            if "user_id" not in document.model_fields or document.__name__ == "AuditEntry":
                continue
            for name, found in vars(document).items():
                if isinstance(found, classmethod) and (document.__name__, name) not in FREE_QUERIES:
                    parameters = list(inspect.signature(found.__func__).parameters)
                    asked_with = "access" if document in ASKED_WITH_ACCESS else "actor"
                    if not name.startswith("_"):
                        assert parameters[1:2] == [asked_with], f"{document.__name__}.{name}"

    def test_with_messages_are_read_by_their_store(self) -> None:
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
    def test_match_their_typed_dicts(self, model: type[BaseModel], shape: Any) -> None:
        stored = {"_id" if name == "id" else name for name in model.model_fields}
        if model is Message:
            stored = set(model.model_fields)
        known = shape.__required_keys__ | shape.__optional_keys__
        assert known - NEVER_STORED == stored - {"revision_id"}

    def test_require_an_access_in_their_store(self) -> None:
        for name, found in vars(MessageStore).items():
            if isinstance(found, FunctionType) and not name.startswith("_"):
                parameters = inspect.signature(found).parameters
                assert "access" in parameters, name

    def test_have_no_hooks(self) -> None:
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
