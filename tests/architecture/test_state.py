"""What modules keep, read and catch: no state, no environment, and few failures at once."""

import ast

import pytest

from support.source import MODULES, Function, names_assigned, tree_of, walk

pytestmark = pytest.mark.xdist_group("source")

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

# What classes are bound to, as they are to their collection.
BOUND = {
    "audit/models.py: bind_keys": "every entry is stamped, whoever stores it",
    "mongodb/leases.py: bind_turns": "of this process, one change of a document after another",
}


def _writes_to_class(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "cls"
    )


class TestModules:
    def test_have_no_assert_statements(self) -> None:
        """An assertion is left out under `python -O`, and says nothing to the client."""
        for path in MODULES:
            for node in walk(path):
                assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}"

    def test_read_the_environment_only_in_settings(self) -> None:
        for path in MODULES:
            names = {node.attr for node in walk(path) if isinstance(node, ast.Attribute)}
            if path.as_posix() not in SPEAK_ENVIRONMENT:
                assert not {"environ", "getenv"} & names, path

    def test_catch_all_errors_only_to_pass_them_on(self) -> None:
        found = {
            path.as_posix(): count for path in MODULES if (count := sum(map(_is_broad, walk(path))))
        }

        assert found == CATCH_EVERYTHING

    def test_have_no_global_state(self) -> None:
        """No module but for Beanie's binding: so tests and workers share nothing by accident."""
        constructors = {"dict", "list", "set", "defaultdict", "deque", "Counter", "OrderedDict"}
        for path in MODULES:
            for node in tree_of(path).body:
                value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                targets = names_assigned(node)
                is_mutable = isinstance(value, ast.List | ast.Dict | ast.Set) or (
                    isinstance(value, ast.Call)
                    and isinstance(value.func, ast.Name)
                    and value.func.id in constructors
                )
                # What is written in capitals is a table that nobody writes to.
                assert not is_mutable or all(
                    name.strip("_").isupper() or name == "__all__" for name in targets
                ), f"{path}: {targets}"
            assert not any(isinstance(node, ast.Global) for node in walk(path)), path

    def test_have_no_state_on_classes(self) -> None:
        found = {
            f"{path}: {node.name}"
            for path in MODULES
            for node in walk(path)
            if isinstance(node, Function) and any(map(_writes_to_class, ast.walk(node)))
        }
        assert found == BOUND.keys()

    def test_never_write_to_constants(self) -> None:
        changing = {"append", "add", "update", "pop", "clear", "setdefault", "extend", "remove"}
        for path in MODULES:
            for node in walk(path):
                target: ast.expr | None = None
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    target = node.func.value if node.func.attr in changing else None
                elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                    target = node.value
                if isinstance(target, ast.Name):
                    assert not target.id.strip("_").isupper(), f"{path} changes {target.id}"


def _is_broad(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )
