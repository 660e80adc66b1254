"""What a route does, one call of a service, and what it takes, such as an Idempotency-Key."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from beanie import Document
from pydantic import BaseModel

from chatvault.errors import ChatvaultError
from chatvault.http.openapi import build_document
from chatvault.http.routing import Operation
from chatvault.idempotency import KeyReused
from support.operations import AUDITED, OPERATIONS, each
from support.source import MODULES, ROOT, SERVICES, Function, called, names_assigned, tree_of

pytestmark = pytest.mark.xdist_group("source")

# How a request is counted, which is the service's to do.
COUNTING = {"admit", "hit", "withdraw", "forgive"}


class Module:
    """A module of routes: the names that it imports, and its functions."""

    def __init__(self, path: Path) -> None:
        self.imported: dict[str, str] = {}
        self.functions: dict[str, Function] = {}
        for node in tree_of(path).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = alias.name
            elif isinstance(node, Function):
                self.functions[node.name] = node

    def origin_of(self, call: ast.Call) -> str:
        """Where what is called comes from, as `chatvault.usage.service.stats`; or nothing."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return f"{self.imported[name]}.{attribute}" if name in self.imported else ""
            case ast.Name(id=name):
                return self.imported.get(name, "")
            case _:
                return ""

    def is_service(self, call: ast.Call) -> bool:
        parts = self.origin_of(call).split(".")
        return len(parts) > 1 and f"{parts[-2]}.py" in SERVICES

    def helper(self, call: ast.Call) -> Function | None:
        return self.functions.get(call.func.id) if isinstance(call.func, ast.Name) else None

    def most_calls(self, function: Function) -> int:
        """How many calls of services one request makes at most."""
        return max(self._ways(function.body), default=0)

    def _ways(self, statements: list[ast.stmt]) -> list[int]:
        """The calls on each way through the statements to a return, or to their end."""
        ended, ways = [], [0]
        for statement in statements:
            inside = self._in(statement)
            if isinstance(statement, ast.If):
                test = self._in(statement.test)
                taken = [(n, _ends(statement.body)) for n in self._ways(statement.body)]
                others = [(n, _ends(statement.orelse)) for n in self._ways(statement.orelse)]
                both = [*taken, *others]
                ended += [way + test + n for way in ways for n, ends in both if ends]
                ways = [way + test + n for way in ways for n, ends in both if not ends]
            else:
                ways = [way + inside for way in ways]
        return [*ended, *ways]

    def _in(self, node: ast.AST) -> int:
        count = 0
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                helper = self.helper(call)
                count += self.is_service(call) + (self.most_calls(helper) if helper else 0)
        return count


def _ends(statements: list[ast.stmt]) -> bool:
    return bool(statements) and isinstance(statements[-1], ast.Return | ast.Raise)


def _module_of(operation: Operation) -> tuple[Path, Module]:
    path = Path(inspect.getfile(inspect.unwrap(operation.handler))).relative_to(ROOT)
    return path, Module(path)


def _reached(module: Module, function: Function) -> Iterator[ast.AST]:
    """The nodes of a handler, and of the functions beside it that it calls."""
    for node in ast.walk(function):
        yield node
        if isinstance(node, ast.Call) and (helper := module.helper(node)):
            yield from _reached(module, helper)


class TestRoutes:
    @each(AUDITED)
    def test_make_one_call_of_a_service(self, operation: Operation) -> None:
        _, module = _module_of(operation)

        assert module.most_calls(module.functions[operation.handler.__name__]) == 1

    @each(AUDITED)
    def test_call_no_resource_of_the_application(self, operation: Operation) -> None:
        """They hand it to the service."""
        path, module = _module_of(operation)
        reached = [*_reached(module, module.functions[operation.handler.__name__])]
        kept = {name for node in reached for name in _taken(node)}
        for node in reached:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                is_named = isinstance(owner, ast.Name) and owner.id in kept
                is_kept = is_named or _is_of_app(owner)
                assert not is_kept, f"{path}:{node.lineno}"

    def test_do_not_limit_rates(self) -> None:
        for path in MODULES:
            if path.name.endswith("routes.py"):
                for node in ast.walk(tree_of(path)):
                    assert not isinstance(node, ast.Call) or called(node) not in COUNTING, path


def _is_of_app(node: ast.AST) -> bool:
    """Whether it is `request.app[…]`."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="app")):
            return True
        case _:
            return False


def _taken(node: ast.AST) -> list[str]:
    """The names that an assignment gives to what the application keeps."""
    if not isinstance(node, ast.Assign):
        return []
    if isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple):
        pairs = zip(node.targets[0].elts, node.value.elts, strict=True)
        return [
            name.id for name, value in pairs if isinstance(name, ast.Name) and _is_of_app(value)
        ]
    return names_assigned(node) if _is_of_app(node.value) else []


class TestOperations:
    def test_accept_an_idempotency_key_for_post(self) -> None:
        """Those under /auth are left out; tests/test_idempotency.py tries what becomes of it."""
        document = build_document(OPERATIONS)
        posts = [each for each in OPERATIONS if each.method == "POST"]
        for operation in posts:
            described = document["paths"][operation.path]["post"]
            headers = {each["name"] for each in described["parameters"] if each["in"] == "header"}
            takes_one = "Idempotency-Key" in headers
            assert takes_one is not operation.path.startswith("/auth/"), operation.path
            assert takes_one is (KeyReused in operation.errors), operation.path

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
    def test_use_no_document_as_request_or_response(self, operation: Operation) -> None:
        for parsed in operation.models.values():
            assert issubclass(parsed, BaseModel)
            assert not issubclass(parsed, Document)
        assert not (inspect.isclass(operation.returns) and issubclass(operation.returns, Document))


class TestErrors:
    def test_have_no_http_status(self) -> None:
        def kinds(kind: type[ChatvaultError]) -> Iterator[type[ChatvaultError]]:
            yield kind
            for child in kind.__subclasses__():
                yield from kinds(child)

        for kind in kinds(ChatvaultError):
            assert isinstance(kind.code, str), kind
            assert not {"status", "status_code"} & vars(kind).keys(), kind
