"""How long modules and functions are, and what modules are called."""

import ast

import pytest

from support.source import MODULES, ROOT, Function, called, walk

pytestmark = pytest.mark.xdist_group("source")

MAX_LINES = 450
# Lines of a function without its signature and its docstring.
MAX_FUNCTION = 40
# Of a class of ours, in a row without their names.
MAX_POSITIONAL = 5
LONGER_FUNCTIONS = {"app.py: create_app": "the composition root, read from top to bottom"}
# Names that say nothing of what is in a module.
VAGUE = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}


def _length(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


class TestModules:
    def test_are_short(self) -> None:
        for path in MODULES:
            lines = (ROOT / path).read_text().count("\n")
            assert lines <= MAX_LINES, f"{path} has {lines} lines"

    def test_have_meaningful_names(self) -> None:
        for path in MODULES:
            for part in path.with_suffix("").parts:
                assert not VAGUE & {*part.split("_")}, path


class TestFunctions:
    def test_are_short(self) -> None:
        long = {
            f"{path}: {node.name}": _length(node)
            for path in MODULES
            for node in walk(path)
            if isinstance(node, Function) and _length(node) > MAX_FUNCTION
        }
        assert long.keys() == LONGER_FUNCTIONS.keys(), long

    def test_use_keyword_arguments_for_large_classes(self) -> None:
        classes = {
            node.name for path in MODULES for node in walk(path) if isinstance(node, ast.ClassDef)
        }
        for path in MODULES:
            for node in walk(path):
                if isinstance(node, ast.Call) and called(node) in classes:
                    assert len(node.args) <= MAX_POSITIONAL, f"{path}:{node.lineno}"
