"""The rules of the house: who imports whom, what a door owes, what an operation leaves behind."""

import ast
import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from aiohttp import web
from beanie import Document
from bson import ObjectId
from pydantic import BaseModel

import chatvault
from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.app import ROUTES
from chatvault.audit.recorder import Recorder
from chatvault.commands import permissions
from chatvault.commands.models import ApprovalRule, Command, CommandDoc, ToolGrant
from chatvault.commands.proposals import made
from chatvault.conversations.models import Conversation, Message
from chatvault.conversations.segments import Revision, Segment
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RevisionDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.documents import DOCUMENTS
from chatvault.fields import now
from chatvault.http.middlewares import REFUSALS
from chatvault.http.openapi import build_document
from chatvault.http.routing import Operation
from chatvault.idempotency import KeyReused
from chatvault.replies.models import Reply, ReplyDoc
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account, begin, message

ROOT = Path(chatvault.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
OPERATIONS = list(chain.from_iterable(ROUTES))
MAX_LINES = 400
# To be divided; until then they must not grow much.
LONGER: dict[str, int] = {
    "conversations/commits/working_copy.py": 460,
    "conversations/message_service.py": 480,
    "conversations/reading.py": 450,
    "conversations/service.py": 410,
    "replies/plan.py": 455,
    "replies/start.py": 460,
}

# Beside each domain's routes: what stands between the wire and the house.
SPEAK_HTTP = {
    "app.py": "the composition root",
    "http/requests.py": "reads requests, writes answers",
    "http/bodies.py": "reads requests' bodies",
    "http/routing.py": "the route registry",
    "http/sse.py": "streams events",
    "http/middlewares.py": "what every request passes",
    "http/problems.py": "the door's error table",
    "http/health.py": "routes of no domain",
    "http/openapi.py": "routes of no domain",
    "server/http.py": "runs the application",
    "server/workers.py": "runs several servers",
    "sessions/storage.py": "aiohttp-session's storage",
    "conversations/headers.py": "headers that both files of routes parse",
    "cli/doctor.py": "asks models' APIs whether they answer",
}
# Beside each domain's models and services: what works on the database itself.
SPEAK_MONGODB = {
    "accounts/sessions.py": "a document and its queries",
    "mongodb/database.py": "connection, transactions, what the driver's errors mean",
    "documents.py": "binds the documents to their database",
    "mongodb/embedded.py": "starts a mongod",
    "mongodb/keeper.py": "keeps a mongod",
    "cli/main.py": "its error table knows the driver's errors",
    "cli/doctor.py": "tells why a database does not answer",
    "cli/terminal.py": "tells why a database does not answer",
    "http/problems.py": "its error table knows the driver's errors",
    "server/workers.py": "its workers fail on the driver's errors",
    "mongodb/rates.py": "counters that live in MongoDB",
    "mongodb/leases.py": "leases that live in MongoDB",
    "mongodb/renewing.py": "renews leases that live in MongoDB",
    "mongodb/changes.py": "reads change streams",
    "sealing/blocks.py": "a document and its queries",
    "sealing/maintenance.py": "waits while the database is gone",
    "sealing/monitor.py": "waits while the database is gone",
    "audit/pending_refusals.py": "a document and its queries",
    "sealing/retention.py": "our own housekeeping",
    "audit/recorder.py": "group commit of entries",
    "audit/refusals.py": "keeps what could not be stored",
    "audit/review.py": "the audit log's service for reviewers",
    "conversations/message_service.py": "reads for a repeat, in the lane's transaction",
    "commands/permissions.py": "what users and administrators allow",
    "commands/proposals.py": "the writes that a decision becomes",
    "commands/runner.py": "goes on after the driver's errors",
    "conversations/service.py": "reads for a repeat, in the lane's transaction",
    "conversations/commits/working_copy.py": "the writes that a decision becomes",
    "conversations/commits/segment_writes.py": "the same, of segments",
    "conversations/commits/reader.py": "reads for a lane's group",
    "conversations/reading.py": "reads for a repeat, in the lane's transaction",
    "conversations/commits/batch.py": "writes a lane's group",
    "idempotency.py": "a document and its queries",
    "conversations/store.py": "a document and its queries",
    "conversations/segments.py": "a document and its queries",
    "conversations/commits/queue.py": "tries a group again after the driver's errors",
    "conversations/commits/garbage.py": "our own housekeeping",
    "replies/titles.py": "commits a summary with its record",
    "replies/start.py": "the writes that a decision becomes",
    "replies/finish.py": "the writes that a decision becomes",
    "replies/events.py": "group commit of events",
    "completions/repeats.py": "commits an answer that no conversation records",
    "replies/jobs.py": "goes on after the driver's errors",
    "replies/runner.py": "goes on after the driver's errors",
}
# The outermost doors, and who hands a failure on to each of those who wait for it.
CATCH_EVERYTHING = {
    "sealing/maintenance.py": 1,
    "http/middlewares.py": 2,
    "completions/routes.py": 2,
    "http/sse.py": 1,
    "mongodb/batching.py": 1,
    "mongodb/turns.py": 1,
    "commands/connections.py": 2,
    "commands/servers.py": 1,
    "conversations/commits/queue.py": 1,
    "mongodb/database.py": 1,
    "mongodb/reviving.py": 1,
    "tasks.py": 1,
}
# Beside the settings: what libraries and processes of others are told.
SPEAK_ENVIRONMENT = {"settings.py", "mongodb/embedded.py", "tokens.py"}
# Half a second and more each.
SLOW = {
    "mcp",
    "mcp_types",
    "openai",
    "openapi_schema_validator",
    "openapi_spec_validator",
    "schemathesis",
}
SERVICES = ("service.py", "message_service.py", "review.py", "permissions.py", "catalogue.py")


def name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(("chatvault", *parts)).removesuffix(".__init__")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports_of(path: Path, *, inside_functions: bool = True) -> set[str]:
    """The names of all modules that a module imports."""
    found: set[str] = set()
    nodes = ast.walk(tree_of(path)) if inside_functions else tree_of(path).body
    known = {name_of(each) for each in MODULES}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known
            if not inner <= known:
                found.add(node.module)
    return found


def packages_of(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def _imported_at_once(path: Path) -> Iterator[str]:
    """The packages that a module imports when it is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


class TestImports:
    def test_aiohttp_is_known_at_the_door_only(self) -> None:
        for path in MODULES:
            if {"aiohttp", "aiohttp_session"} & packages_of(path):
                is_route = path.name.endswith("routes.py")
                assert is_route or path.as_posix() in SPEAK_HTTP, f"{path} imports aiohttp"

    def test_mongodb_is_known_to_models_and_services_only(self) -> None:
        for path in MODULES:
            if {"beanie", "pymongo", "motor"} & packages_of(path):
                is_ours = path.name in {"models.py", "service.py"}
                assert is_ours or path.as_posix() in SPEAK_MONGODB, f"{path} imports the driver"

    def test_no_exemption_is_left_over(self) -> None:
        for name in SPEAK_HTTP:
            assert {"aiohttp", "aiohttp_session"} & packages_of(Path(name)), name
        for name in set(SPEAK_MONGODB) - {"mongodb/keeper.py"}:
            assert {"beanie", "pymongo"} & packages_of(Path(name)), name

    def test_services_and_models_know_no_door(self) -> None:
        doors = {
            "requests",
            "routing",
            "middlewares",
            "problems",
            "app",
            "server",
            "cli",
            "terminal",
        }
        for path in MODULES:
            if path.name in {"models.py", *SERVICES}:
                for name in imports_of(path):
                    last = name.rpartition(".")[2]
                    is_door = name.startswith("chatvault.") and (
                        last in doors or last.endswith("routes")
                    )
                    assert not is_door, f"{path} imports {name}"

    def test_models_know_no_service(self) -> None:
        for path in MODULES:
            if path.name == "models.py":
                for name in imports_of(path):
                    assert name.rpartition(".")[2] not in {"service", "schemas"}, f"{path}: {name}"

    def test_only_the_composition_root_knows_routes(self) -> None:
        for path in MODULES:
            if path.name != "app.py":
                for name in imports_of(path):
                    # A domain's routes may be divided among files.
                    is_own = path.name.endswith("routes.py") and name_of(path).startswith(
                        name.rpartition(".")[0] + "."
                    )
                    assert not name.endswith("routes") or is_own, f"{path} imports {name}"

    def test_the_environment_is_read_by_the_settings_only(self) -> None:
        for path in MODULES:
            names = {node.attr for node in _walk(path) if isinstance(node, ast.Attribute)}
            if path.as_posix() not in SPEAK_ENVIRONMENT:
                assert not {"environ", "getenv"} & names, path

    def test_of_tests_keep_nobody_waiting(self) -> None:
        """Whoever runs one test imports all of them."""
        for path in Path(__file__).parent.rglob("*.py"):
            if path.name != "toolserver.py":  # a program of its own
                slow = SLOW & set(_imported_at_once(path))
                assert not slow, f"{path} imports {slow}: do so where it is used"

    def test_form_no_circle(self) -> None:
        graph = {
            name_of(path): {name for name in imports_of(path) if name.startswith("chatvault.")}
            for path in MODULES
        }
        done: set[str] = set()

        def visit(name: str, way: tuple[str, ...]) -> None:
            assert name not in way, " → ".join((*way, name))
            if name not in done:
                for other in graph.get(name, ()):
                    visit(other, (*way, name))
                done.add(name)

        for name in graph:
            visit(name, ())


class TestModules:
    def test_are_short(self) -> None:
        for path in MODULES:
            lines = (ROOT / path).read_text().count("\n")
            limit = LONGER.get(path.as_posix(), MAX_LINES)
            assert lines <= limit, f"{path} has {lines} lines"

    def test_are_named_for_what_they_hold(self) -> None:
        for path in MODULES:
            for part in path.with_suffix("").parts:
                assert not {"util", "utils", "helper", "helpers", "common", "manager", "misc"} & {
                    *part.split("_")
                }, path

    def test_catch_everything_only_where_it_is_handed_on(self) -> None:
        found = {
            path.as_posix(): count
            for path in MODULES
            if (count := sum(map(_is_broad, _walk(path))))
        }

        assert found == CATCH_EVERYTHING

    def test_keep_no_state(self) -> None:
        """No module but for Beanie's binding: so tests and workers share nothing by accident."""
        constructors = {"dict", "list", "set", "defaultdict", "deque", "Counter", "OrderedDict"}
        for path in MODULES:
            for node in tree_of(path).body:
                value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                targets = _names_assigned(node)
                is_mutable = isinstance(value, ast.List | ast.Dict | ast.Set) or (
                    isinstance(value, ast.Call)
                    and isinstance(value.func, ast.Name)
                    and value.func.id in constructors
                )
                # What is written in capitals is a table that nobody writes to.
                assert not is_mutable or all(
                    name.strip("_").isupper() or name == "__all__" for name in targets
                ), f"{path}: {targets}"
            assert not any(isinstance(node, ast.Global) for node in _walk(path)), path

    def test_tables_are_never_written_to(self) -> None:
        changing = {"append", "add", "update", "pop", "clear", "setdefault", "extend", "remove"}
        for path in MODULES:
            for node in _walk(path):
                target: ast.expr | None = None
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    target = node.func.value if node.func.attr in changing else None
                elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                    target = node.value
                if isinstance(target, ast.Name):
                    assert not target.id.strip("_").isupper(), f"{path} changes {target.id}"


def _walk(path: Path) -> Iterator[ast.AST]:
    return ast.walk(tree_of(path))


def _is_broad(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )


def _names_assigned(node: ast.AST) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


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
    "conversations/message_service.py": "counts",
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


class TestDocuments:
    def test_with_messages_are_reached_by_their_store(self) -> None:
        holding = {"Conversation", "Segment", "Revision"}
        reached = {
            path.as_posix()
            for path in MODULES
            for node in _walk(path)
            if isinstance(node, ast.Attribute) and node.attr == "get_pymongo_collection"
            if isinstance(node.value, ast.Name) and node.value.id in holding | {"cls"}
            if node.value.id in holding or path.as_posix() == "conversations/models.py"
        }
        assert reached == HOLD_MESSAGES.keys()

    def test_of_a_user_are_reached_by_their_owner_only(self) -> None:
        for document in DOCUMENTS:
            if "user_id" not in document.model_fields or document.__name__ == "AuditEntry":
                continue
            for name, found in vars(document).items():
                if isinstance(found, classmethod) and (document.__name__, name) not in FREE_QUERIES:
                    parameters = list(inspect.signature(found.__func__).parameters)
                    if not name.startswith("_"):
                        assert parameters[1:2] == ["actor"], f"{document.__name__}.{name}"

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


# What the driver, and Beanie, change with, and insert with. A statement has no transaction of its
# own, but that of the bulk_write it goes into.
CHANGES = {
    "update_one", "update_many", "replace_one", "delete_one", "delete_many",
    "find_one_and_update", "find_one_and_replace", "find_one_and_delete",
}  # fmt: skip
STATEMENTS = {"UpdateOne", "UpdateMany", "ReplaceOne", "DeleteOne", "DeleteMany"}
INSERTS = {"insert_one", "insert_many", "bulk_write", "insert", "save", "save_changes"}
# Changes whose filter names no owner, by module and function.
OWNERLESS = {
    ("accounts/service.py", "_set"): "an account is its owner's, and found by its id",
    ("sessions/service.py", "_open.store"): "the account that signs in, and found by its id",
    ("sessions/storage.py", "SessionStorage.save_session"): "found by what only its owner has",
    ("conversations/commits/garbage.py", "sweep"): "takes what is due, whoever's it is",
    ("commands/permissions.py", "grant.store"): "a tool is nobody's",
    ("commands/runner.py", "CommandRunner._renew"): "renews all commands that this process runs",
    (
        "commands/runner.py",
        "CommandRunner.reap",
    ): "takes over commands of the dead, whoever's they are",
    ("replies/jobs.py", "Worker._take"): "takes what is due, whoever's it is",
    ("replies/runner.py", "ReplyRunner._renew"): "renews all replies that this process writes",
    ("replies/runner.py", "ReplyRunner.reap"): "takes over replies of the dead, whoever's they are",
    ("audit/pending_refusals.py", "PendingRefusals.keep"): "counts of callers that nobody knows",
    ("audit/pending_refusals.py", "PendingRefusals.drop"): "counts of callers that nobody knows",
    ("sealing/retention.py", "_remove"): "what expired goes, whoever's it is",
    ("mongodb/leases.py", "take"): "processes' own",
    ("mongodb/leases.py", "release"): "processes' own",
    ("mongodb/rates.py", "CounterStorage.incr"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.take_back"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.reset"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.clear"): "counts what nobody owns",
}
# Writes that are part of no transaction, by module and function.
ALONE = {
    ("sessions/storage.py", "SessionStorage.save_session"): "moves an end on; nothing is done",
    (
        "conversations/commits/bulk.py",
        "write_generation",
    ): "shown by nobody until a transaction says so",
    ("conversations/commits/garbage.py", "sweep"): "our own housekeeping",
    ("conversations/commits/garbage.py", "_sweep_one"): "our own housekeeping",
    ("conversations/commits/garbage.py", "_sweep_replaced"): "our own housekeeping",
    ("commands/runner.py", "CommandRunner._renew"): "whose turn it is",
    ("commands/runner.py", "CommandRunner.reap"): "whose turn it is",
    ("replies/jobs.py", "Worker._take"): "whose turn it is",
    ("replies/jobs.py", "Worker._do"): "whose turn it is",
    ("replies/jobs.py", "Worker._renew"): "whose turn it is",
    ("replies/titles.py", "Background._ask"): "what was used is used, whatever comes of it",
    ("completions/service.py", "_plain"): "what was used is used, whatever comes of it",
    ("replies/events.py", "EventLog._write"): "what is said while it is said; the end has an entry",
    ("replies/runner.py", "ReplyRunner._renew"): "whose turn it is",
    ("replies/runner.py", "ReplyRunner.reap"): "whose turn it is",
    ("replies/runner.py", "ReplyRunner._interrupt"): "the rest of a conversation that is gone",
    ("sealing/blocks.py", "Block.append"): "the log's own, of entries that are stored",
    ("audit/pending_refusals.py", "PendingRefusals.keep"): "counts that become an entry later",
    ("audit/pending_refusals.py", "PendingRefusals.drop"): "counts that have become entries",
    ("sealing/retention.py", "_remove"): "announced by an entry before, and told by one after",
    ("mongodb/leases.py", "take"): "processes' own",
    ("mongodb/leases.py", "release"): "processes' own",
    ("mongodb/rates.py", "CounterStorage.incr"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.take_back"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.reset"): "counts what nobody owns",
    ("mongodb/rates.py", "CounterStorage.clear"): "counts what nobody owns",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Write:
    """A place in the source where something is written, and the functions around it."""

    path: Path
    within: tuple[str, ...]
    functions: tuple[Function, ...]
    call: ast.Call

    @property
    def name(self) -> str:
        return _called(self.call)

    @property
    def place(self) -> tuple[str, str]:
        return self.path.as_posix(), ".".join(self.within)

    @property
    def names_owner(self) -> bool:
        return bool(self.call.args) and self._is_owners(self.call.args[0])

    @property
    def joins_transaction(self) -> bool:
        return any(keyword.arg == "session" for keyword in self.call.keywords)

    def _is_owners(self, filter_: ast.expr) -> bool:
        """Whether a filter names the owner, whichever way it comes about."""
        match filter_:
            case ast.Dict(keys=keys, values=values):
                return any(
                    self._is_owners(value)
                    if key is None
                    else isinstance(key, ast.Constant) and key.value == "user_id"
                    for key, value in zip(keys, values, strict=True)
                )
            case ast.Call():
                return _called(filter_) == "owned_by"
            case ast.Name(id=name):
                given = self._assigned(name)
                return bool(given) and all(map(self._is_owners, given))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._is_owners(left) or self._is_owners(right)
            case _:
                return False

    def _assigned(self, name: str) -> list[ast.expr]:
        """What the innermost function that gives the name a value gives it."""
        for function in reversed(self.functions):
            given = [
                node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign | ast.AnnAssign)
                and node.value is not None
                and name in _names_assigned(node)
            ]
            if given:
                return given
        return []


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def writes(names: set[str]) -> Iterator[Write]:
    """Every call of one of these in the source; methods are awaited, statements are made."""

    def visit(
        node: ast.AST, path: Path, within: tuple[str, ...], functions: tuple[Function, ...]
    ) -> Iterator[Write]:
        call = node.value if isinstance(node, ast.Await) else node
        if isinstance(call, ast.Call) and _called(call) in names:
            is_statement = _called(call) in STATEMENTS
            if is_statement or isinstance(node, ast.Await):
                yield Write(path, within, functions, call)
        if isinstance(node, Function | ast.ClassDef):
            within = (*within, node.name)
        if isinstance(node, Function):
            functions = (*functions, node)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, path, within, functions)

    for path in MODULES:
        yield from visit(tree_of(path), path, (), ())


class TestWrites:
    """As the source has them; tests/test_writes.py looks at what reaches MongoDB."""

    def test_name_the_owner_in_their_filter(self) -> None:
        found = list(writes(CHANGES | STATEMENTS))
        assert len(found) > 25
        for write in found:
            line = f"{write.place} line {write.call.lineno}: {write.name}"
            assert write.names_owner or write.place in OWNERLESS, line

    def test_join_a_transaction(self) -> None:
        found = list(writes(CHANGES | INSERTS))
        assert len(found) > 30
        for write in found:
            line = f"{write.place} line {write.call.lineno}: {write.name}"
            assert write.joins_transaction or write.place in ALONE, line

    def test_no_exemption_is_left_over(self) -> None:
        changes, both = writes(CHANGES | STATEMENTS), writes(CHANGES | INSERTS)
        assert OWNERLESS.keys() == {each.place for each in changes if not each.names_owner}
        assert ALONE.keys() == {each.place for each in both if not each.joins_transaction}


@dataclass(frozen=True)
class Things:
    """What calls need: ids of Alice's, to be put into paths."""

    conversation_id: str
    message_id: str
    session_id: str
    agent_id: str
    reply_id: str
    command_id: str
    tool: str


# How to call each operation that is audited: its body, and its status where it has no success.
CALLS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/auth/register"): {"json": {**account("eve"), "password": PASSWORD}},
    ("GET", "/auth/me"): {},
    ("POST", "/auth/password"): {
        "json": {"current_password": PASSWORD, "new_password": PASSWORD},
    },
    ("POST", "/auth/login"): {"json": {"username": "alice", "password": PASSWORD}},
    ("POST", "/auth/logout"): {},
    ("GET", "/auth/sessions"): {},
    ("DELETE", "/auth/sessions"): {},
    ("DELETE", "/auth/sessions/{session_id}"): {},
    ("GET", "/conversations"): {},
    ("POST", "/conversations"): {"json": {}},
    ("DELETE", "/conversations"): {},
    ("GET", "/conversations/stats/count"): {},
    ("GET", "/conversations/stats"): {},
    ("POST", "/conversations/{conversation_id}/archive"): {"json": {"archived": True}},
    ("POST", "/conversations/{conversation_id}/replies"): {
        "json": {"content": "Hello"},
        "status": 503,
    },
    ("GET", "/conversations/{conversation_id}/replies/{reply_id}"): {},
    ("GET", "/conversations/{conversation_id}/replies/{reply_id}/events"): {},
    ("POST", "/conversations/{conversation_id}/replies/{reply_id}/cancel"): {},
    ("GET", "/conversations/{conversation_id}/context"): {},
    ("POST", "/conversations/{conversation_id}/summary"): {},
    ("GET", "/conversations/{conversation_id}"): {},
    ("PUT", "/conversations/{conversation_id}"): {"json": {"title": "new"}},
    ("PATCH", "/conversations/{conversation_id}"): {"json": {"title": "new"}},
    ("DELETE", "/conversations/{conversation_id}"): {},
    ("GET", "/conversations/{conversation_id}/messages"): {},
    ("POST", "/conversations/{conversation_id}/messages"): {"json": message()},
    ("POST", "/conversations/{conversation_id}/messages:batch"): {
        "json": {"messages": [message(), message()]},
    },
    ("GET", "/conversations/{conversation_id}/messages/{message_id}"): {},
    ("PATCH", "/conversations/{conversation_id}/messages/{message_id}"): {
        "json": {"content": "edited"},
    },
    ("DELETE", "/conversations/{conversation_id}/messages/{message_id}"): {},
    ("GET", "/conversations/{conversation_id}/messages/{message_id}/revisions"): {},
    ("GET", "/users/me/preferences"): {},
    ("PUT", "/users/me/preferences"): {"json": {"theme": "dark"}},
    ("PATCH", "/users/me/preferences"): {"json": {"theme": "dark"}},
    ("GET", "/admin/audit-logs"): {},
    ("GET", "/admin/audit-logs/stats"): {},
    ("GET", "/admin/audit-logs/export"): {},
    ("GET", "/users/me/audit-logs"): {},
    ("GET", "/agents"): {},
    ("POST", "/agents"): {"json": {"name": "Helper"}},
    ("GET", "/agents/{agent_id}"): {},
    ("PATCH", "/agents/{agent_id}"): {"json": {"name": "Another"}},
    ("DELETE", "/agents/{agent_id}"): {},
    ("GET", "/mcp/servers"): {},
    ("GET", "/mcp/tools"): {},
    ("GET", "/mcp/rules"): {},
    ("PUT", "/mcp/rules/{tool}"): {},
    ("DELETE", "/mcp/rules/{tool}"): {},
    ("GET", "/conversations/{conversation_id}/commands"): {},
    ("GET", "/conversations/{conversation_id}/commands/{command_id}"): {},
    ("POST", "/conversations/{conversation_id}/commands/{command_id}/approve"): {},
    ("POST", "/conversations/{conversation_id}/commands/{command_id}/reject"): {"status": 409},
    ("POST", "/conversations/{conversation_id}/messages/{message_id}/execute-command"): {
        "json": {"command": "ls"},
        "status": 503,
    },
    ("POST", "/chat/completions"): {"json": {"messages": []}, "status": 503},
    ("POST", "/v1/chat/completions"): {"json": {"messages": []}, "status": 503},
}  # fmt: skip
AUDITED = [operation for operation in OPERATIONS if operation.action is not None]
PRIVATE = [operation for operation in AUDITED if not operation.is_public]
# What tools there are is no secret, and a rule is looked for among the caller's own.
WITH_ID = [
    operation
    for operation in AUDITED
    if "{" in operation.path and operation.path != "/mcp/rules/{tool}"
]


def key_of(operation: Operation) -> tuple[str, str]:
    return operation.method, operation.path


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "operation", operations, ids=[" ".join(key_of(operation)) for operation in operations]
    )


def some_things() -> Things:
    """Ids of nothing that exists."""
    ids = [str(ObjectId()) for _ in range(5)]
    return Things(ids[0], "some-message", ids[1], ids[2], ids[3], ids[4], "nothing")


async def call(browser: HttpClient, operation: Operation, things: Things | None = None) -> Any:
    how = dict(CALLS[key_of(operation)])
    how.pop("status", None)
    blank = things or some_things()
    return await browser.request(operation.method, operation.path.format(**vars(blank)), **how)


async def make_things(alice: HttpClient, http: HttpClient) -> Things:
    conversation = await begin(alice, messages=[message("first", id="first-message")])
    await http.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    sessions = await (await alice.get("/auth/sessions")).json()
    other = next(session["id"] for session in sessions if not session["current"])
    http.session.cookie_jar.clear()
    agent = await (await alice.post("/agents", json={"name": "Hers"})).json()
    reply = await _make_reply(conversation)
    command = await _make_command(conversation)
    ids = (conversation["id"], "first-message", other, agent["id"], reply, command)
    return Things(*ids, tool="lab__echo")


async def _make_command(conversation: dict[str, Any]) -> str:
    """One that has run; and a rule of the user's, with a grant that lets it hold."""
    mine = {"user_id": ObjectId(conversation["user_id"])}
    of = {"_id": ObjectId(conversation["id"]), **mine}
    at = now()
    command = made(tool="lab__echo", arguments="{}", call_id=None, at=at)
    command |= {"status": "executed", "decided_by": "person"}
    await Conversation.get_pymongo_collection().update_one(
        of, {"$set": {"messages.0.commands": [command]}}
    )
    await Command.get_pymongo_collection().insert_one(
        {
            "_id": command["id"],
            **mine,
            "conversation_id": of["_id"],
            "message_id": "first-message",
            "reply_id": None,
            "tool": "lab__echo",
            "status": "executed",
            "created_at": at,
        }
    )
    roles = {"roles": ["auditor"], "auto_approve_roles": ["auditor"]}
    grants, rules = ToolGrant.get_pymongo_collection(), ApprovalRule.get_pymongo_collection()
    for tool in ("lab__echo", "terminal_command"):
        await grants.update_one({"_id": tool}, {"$set": roles}, upsert=True)
    rule = {**mine, "tool": "lab__echo"}
    await rules.update_one(rule, {"$set": {"created_at": at}}, upsert=True)
    return str(command["id"])


async def _make_reply(conversation: dict[str, Any]) -> str:
    """One that has ended; no model is asked for it."""
    reply = {
        "_id": ObjectId(),
        "user_id": ObjectId(conversation["user_id"]),
        "conversation_id": ObjectId(conversation["id"]),
        "state": "completed",
        "code": None,
        "answer_id": "first-message",
        "input_tokens": 1,
        "output_tokens": 1,
    }
    await Reply.get_pymongo_collection().insert_one(reply)
    return str(reply["_id"])


class TestOperations:
    def test_are_all_known_to_these_tests(self) -> None:
        assert {key_of(operation) for operation in AUDITED} == CALLS.keys()

    def test_that_are_public_are_few(self) -> None:
        public = {operation.path for operation in OPERATIONS if operation.is_public}

        assert public == {
            "/health", "/ready", "/auth/register", "/auth/login", "/model/current", "/gpu/health",
            "/openapi.json", "/docs", "/", "/ui/config",
        }  # fmt: skip

    def test_without_a_name_in_the_audit_log_are_public_and_only_read(self) -> None:
        for operation in OPERATIONS:
            if operation.action is None:
                assert operation.is_public, operation.path
                assert operation.method == "GET"

    def test_that_post_take_an_idempotency_key(self) -> None:
        """Those under /auth are left out; tests/test_idempotency.py tries what becomes of it."""
        document = build_document(OPERATIONS)
        posts = [each for each in OPERATIONS if each.method == "POST"]
        for operation in posts:
            described = document["paths"][operation.path]["post"]
            headers = {each["name"] for each in described["parameters"] if each["in"] == "header"}
            takes_one = "Idempotency-Key" in headers
            assert takes_one is not operation.path.startswith("/auth/"), operation.path
            assert takes_one is (KeyReused in operation.errors), operation.path

    @each(PRIVATE)
    async def test_answer_401_to_the_anonymous_and_record_it(
        self, http: HttpClient, database: Any, operation: Operation
    ) -> None:
        answer = await call(http, operation)

        assert answer.status == 401
        assert (await answer.json())["code"] == "authentication_required"
        entry = await database.audit_logs.find_one({"action": operation.action})
        assert (entry["outcome"], entry["code"]) == ("denied", "authentication_required")
        assert entry["user_id"] is None

    @each(WITH_ID)
    async def test_answer_404_to_a_stranger_and_to_a_malformed_id(
        self,
        alice: HttpClient,
        bob: HttpClient,
        http: HttpClient,
        database: Any,
        operation: Operation,
    ) -> None:
        things = await make_things(alice, http)
        malformed = Things("nonsense", "-", *["nonsense"] * 5)
        await database.audit_logs.delete_many({})
        before = await database.conversations.find().to_list()

        for asked in (things, malformed, None):
            answer = await call(bob, operation, asked)
            assert answer.status == 404, await answer.text()
            assert (await answer.json())["code"].endswith("not_found")

        entries = await database.audit_logs.find({"action": operation.action}).to_list()
        assert [entry["outcome"] for entry in entries] == ["denied"] * 3
        assert all(entry["user_id"] for entry in entries)
        assert await database.conversations.find().to_list() == before
        assert await database.sessions.count_documents({}) == 3

    @each(AUDITED)
    async def test_leave_an_entry_with_their_answer(
        self, sign_in: SignIn, http: HttpClient, database: Any, operation: Operation
    ) -> None:
        alice = await sign_in("alice", role=Role.AUDITOR)
        things = await make_things(alice, http)
        await database.audit_logs.delete_many({})

        answer = await call(alice, operation, things)

        expected = CALLS[key_of(operation)].get("status", operation.status)
        assert answer.status == expected, await answer.text()
        await answer.read()
        query = {"action": operation.action, "request_id": answer.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(query).to_list()
        assert entry["outcome"] == ("success" if expected < 400 else "failed")
        assert entry["user_id"] is not None

    @each([operation for operation in AUDITED if "body" in operation.models])
    async def test_leave_an_entry_with_a_refused_body(
        self, alice: HttpClient, database: Any, operation: Operation
    ) -> None:
        path = operation.path.format(**vars(some_things()))

        answer = await alice.request(operation.method, path, json=["no object"])

        assert answer.status == 422
        query = {"action": operation.action, "request_id": answer.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(query).to_list()
        assert (entry["outcome"], entry["code"]) == ("failed", "invalid_input")


def functions_of_services() -> dict[str, tuple[ModuleType, Callable[..., Any]]]:
    """Every public function of a service that somebody calls."""
    found = {}
    for path in MODULES:
        if path.name in SERVICES:
            module = importlib.import_module(name_of(path))
            for name, function in vars(module).items():
                is_own = getattr(function, "__module__", None) == module.__name__
                if not is_own or name.startswith("_") or not inspect.iscoroutinefunction(function):
                    continue
                if next(iter(inspect.signature(function).parameters), None) == "actor":
                    found[f"{module.__name__}.{name}"] = (module, function)
    return found


# Called by none of the operations above; what they leave is tried elsewhere.
ELSEWHERE = {
    "chatvault.conversations.service.read_back": "reads what the same request changed",
    "chatvault.conversations.message_service.replace_last": "tests/conversations",
    "chatvault.conversations.message_service.stream_all": "tests/conversations",
    "chatvault.conversations.message_service.message_exists": "part of a decision on a command",
    "chatvault.completions.service.complete": "tests/replies",
    "chatvault.sealing.service.verify_log": "tests/audit",
    "chatvault.sealing.service.get_checkpoint": "tests/audit",
    "chatvault.sealing.service.acknowledge": "tests/audit",
    "chatvault.sealing.service.prove_entry": "tests/audit",
    "chatvault.sealing.service.rotate_key": "tests/audit",
    "chatvault.replies.service.wait": "reads what the same request began",
    "chatvault.importing.service.import_file": "tests/importing",
    "chatvault.preferences.service.take_over": "tests/importing",
}


class TestServices:
    async def test_each_function_leaves_an_entry(
        self,
        app: web.Application,
        sign_in: SignIn,
        http: HttpClient,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        functions = functions_of_services()
        assert len(functions) > 25
        called: set[str] = set()

        def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            async def watched(*args: Any, **kwargs: Any) -> Any:
                called.add(name)
                return await function(*args, **kwargs)

            return watched

        alice = await sign_in("alice", role=Role.AUDITOR)
        for name, (module, function) in functions.items():
            monkeypatch.setattr(module, function.__name__, watch(name, function))
        for operation in sorted(AUDITED, key=lambda found: found.path == "/auth/logout"):
            things = await make_things(alice, http)
            answer = await call(alice, operation, things)
            await answer.read()

        operator, hasher = Actor(door=Door.CLI), PasswordHasher(4)
        carol = {"username": "carol"}
        person = {**account("carol"), "password": PASSWORD}
        works: dict[str, Callable[[], Awaitable[Any]]] = {
            "user.create": lambda: accounts.create(operator, hasher, **person),
            "user.list": lambda: accounts.list_users(operator, Recorder()),
            "user.change_role": lambda: accounts.change_role(operator, **carol, role=Role.ADMIN),
            "user.deactivate": lambda: accounts.set_active(operator, **carol, is_active=False),
            "user.activate": lambda: accounts.set_active(operator, **carol, is_active=True),
            "user.change_password": lambda: accounts.set_password(
                operator, hasher, **carol, password=PASSWORD
            ),
            "user.rename": lambda: accounts.rename(operator, **carol, new_username="caroline"),
            "tool.grant": lambda: permissions.grant(
                operator, tool="x", roles=(), auto_approve_roles=()
            ),
            "tool.list": lambda: permissions.list_grants(operator, Recorder()),
        }
        for action, work in works.items():
            query = {"action": action, "door": "cli", "outcome": "success"}
            before = await database.audit_logs.count_documents(query)
            await work()
            assert await database.audit_logs.count_documents(query) == before + 1, action
        hasher.close()

        assert functions.keys() - called == ELSEWHERE.keys() - called
        assert ELSEWHERE.keys() <= functions.keys()


class TestRefusalsOfTheAnonymous:
    @each([operation for operation in AUDITED if operation.is_public])
    async def test_are_recorded_where_anyone_may_call(
        self, app: web.Application, http: HttpClient, database: Any, operation: Operation
    ) -> None:
        for _ in range(3):
            await http.request(operation.method, operation.path, json={})
        await app[REFUSALS].close_minute()

        query = {"action": operation.action}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        assert [entry["details"] for entry in entries] == [None, {"count": 2}]
