"""What an operation leaves in the audit log, and what a stranger or nobody is answered."""

import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.audit.recorder import Recorder
from chatvault.commands import permissions
from chatvault.erasure import service as erasures
from chatvault.http.middlewares import REFUSALS
from chatvault.http.routing import Operation
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account
from support.operations import (
    AUDITED,
    CALLS,
    OPERATIONS,
    PRIVATE,
    WITH_ID,
    Things,
    call,
    each,
    key_of,
    make_things,
    some_things,
)
from support.source import MODULES, SERVICES, name_of


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
    "chatvault.oidc.service.begin": "changes nothing; tests/oidc",
    "chatvault.sessions.service.end_by_provider": "tests/oidc",
    "chatvault.backup.service.back_up": "tests/backup",
    "chatvault.conversations.messages.append_service.replace_last": "tests/conversations",
    "chatvault.conversations.messages.service.show_newest": "tests/conversations",
    "chatvault.conversations.messages.service.stream_all": "tests/conversations",
    "chatvault.completions.service.complete": "tests/replies",
    "chatvault.categories.service.find_or_make": "tests/conversations/test_changed.py",
    "chatvault.importing.jobs.service.start": "tests/importing",
    "chatvault.sealing.service.verify_log": "tests/audit",
    "chatvault.sealing.service.get_checkpoint": "tests/audit",
    "chatvault.sealing.service.acknowledge": "tests/audit",
    "chatvault.sealing.service.prove_entry": "tests/audit",
    "chatvault.sealing.service.rotate_key": "tests/audit",
    "chatvault.replies.service.wait": "no model answers here; tests/replies",
    "chatvault.replies.service.stream_answer": "the same as a stream; tests/replies",
    "chatvault.importing.service.import_file": "tests/importing",
    "chatvault.importing.service.store_file": "tests/importing",
    "chatvault.conversations.trash.service.purge": "tests/conversations/test_trash.py",
    "chatvault.conversations.trash.service.purge_due": "tests/conversations/test_trash.py",
    "chatvault.retention.service.set_for_role": "tests/retention",
    "chatvault.vault.service.list_masters": "tests/cli/test_sealing.py",
    "chatvault.vault.service.rotate": "tests/vault",
    "chatvault.vault.service.retire_data_keys": "tests/vault",
    "chatvault.importing.service.preview": "tests/importing",
    "chatvault.preferences.service.take_over": "tests/importing",
}


class TestOperations:
    def test_are_all_covered_by_these_tests(self) -> None:
        assert {key_of(operation) for operation in AUDITED} == CALLS.keys()

    def test_are_public_only_if_listed(self) -> None:
        public = {operation.path for operation in OPERATIONS if operation.is_public}

        assert public == {
            "/health", "/ready", "/auth/register", "/auth/login", "/model/current", "/gpu/health",
            "/openapi.json", "/docs", "/", "/ui/config", "/erasures/{erasure_id}",
            "/shared/{token}",
            "/auth/password-reset", "/auth/first-admin", "/auth/oidc/login",
            "/auth/oidc/callback", "/auth/oidc/backchannel-logout",
        }  # fmt: skip

    def test_are_public_and_read_only_without_an_audit_action(self) -> None:
        for operation in OPERATIONS:
            if operation.action is None:
                assert operation.is_public, operation.path
                assert operation.method == "GET"

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
        things = await make_things(alice, http, operation)
        malformed = Things("nonsense", "-", *["nonsense"] * 7, export_id="nonsense")
        await database.audit_logs.delete_many({})
        before = await database.conversations.find().to_list()
        sessions = await database.sessions.count_documents({})

        for asked in (things, malformed, None):
            answer = await call(bob, operation, asked)
            assert answer.status == 404, await answer.text()
            assert (await answer.json())["code"].endswith("not_found")

        entries = await database.audit_logs.find({"action": operation.action}).to_list()
        assert [entry["outcome"] for entry in entries] == ["denied"] * 3
        assert all(entry["user_id"] for entry in entries)
        assert await database.conversations.find().to_list() == before
        assert await database.sessions.count_documents({}) == sessions

    @each(AUDITED)
    async def test_leave_an_audit_entry_with_their_answer(
        self, sign_in: SignIn, http: HttpClient, database: Any, operation: Operation
    ) -> None:
        alice = await sign_in("alice", role=Role.ADMIN)
        things = await make_things(alice, http, operation)
        await database.audit_logs.delete_many({})

        answer = await call(alice, operation, things)

        expected = CALLS[key_of(operation)].get("status", operation.status)
        assert answer.status == expected, await answer.text()
        await answer.read()
        query = {"action": operation.action, "request_id": answer.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(query).to_list()
        refused = "denied" if expected in {401, 403, 404} else "failed"
        outcome = CALLS[key_of(operation)].get("outcome")
        assert entry["outcome"] == (outcome or ("success" if expected < 400 else refused))
        assert entry["user_id"] is not None

    @each([operation for operation in AUDITED if "body" in operation.models])
    async def test_leave_an_audit_entry_for_a_refused_body(
        self, alice: HttpClient, database: Any, operation: Operation
    ) -> None:
        path = operation.path.format(**vars(some_things()))

        answer = await alice.request(operation.method, path, json=["no object"])

        assert answer.status == 422
        query = {"action": operation.action, "request_id": answer.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(query).to_list()
        assert (entry["outcome"], entry["code"]) == ("failed", "invalid_input")


class TestServices:
    async def test_leave_an_audit_entry_in_each_function(
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

        alice = await sign_in("alice", role=Role.ADMIN)
        for name, (module, function) in functions.items():
            monkeypatch.setattr(module, function.__name__, watch(name, function))
        # A function is called whether or not there is what its operation is for.
        for operation in sorted(AUDITED, key=lambda found: found.path == "/auth/logout"):
            answer = await call(alice, operation)
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
            "user.create ": lambda: accounts.create_for_programs(operator, username="robot"),
            "tool.grant": lambda: permissions.grant(
                operator, tool="x", roles=(), auto_approve_roles=()
            ),
            "user.erase": lambda: erasures.begin(operator, username="caroline"),
            "user.list_erasures": lambda: erasures.list_all(operator, Recorder()),
            "tool.list": lambda: permissions.list_grants(operator, Recorder()),
        }
        for action, work in works.items():
            query = {"action": action.strip(), "door": "cli", "outcome": "success"}
            before = await database.audit_logs.count_documents(query)
            await work()
            assert await database.audit_logs.count_documents(query) == before + 1, action
        hasher.close()

        assert functions.keys() - called == ELSEWHERE.keys() - called
        assert ELSEWHERE.keys() <= functions.keys()


class TestRefusalsOfTheAnonymous:
    @each([operation for operation in AUDITED if operation.is_public])
    async def test_are_recorded_on_public_routes(
        self, app: web.Application, http: HttpClient, database: Any, operation: Operation
    ) -> None:
        for _ in range(3):
            path = operation.path.format(**vars(some_things()))
            await http.request(operation.method, path, json={})
        await app[REFUSALS].close_minute()

        query = {"action": operation.action}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        assert [entry["details"] for entry in entries] == [None, {"count": 2}]
