"""A plugin of pytest that measures which lines and branches of the package the tests run.

SlipCover puts probes into the package's code. The tracer of coverage.py is called for every line of
every library too, and doubles the time of the tests on Python 3.11. Processes that tests start are
not measured.

To put the probes in takes four times as long as to import the package, so code with probes is kept
beside Python's own compiled code, and only what has changed is done again.
"""

import ast
import atexit
import json
import marshal
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import pytest
import slipcover  # type: ignore[import-untyped]  # it carries no annotations
from slipcover import Slipcover, branch
from slipcover import slipcover as implementation

# The directory for a file of each worker; without it nothing is measured.
DIRECTORY = "TESTS_COVERAGE"
PACKAGE = Path(__file__).parents[2] / "src" / "chatvault"
EXCLUDED = ["@overload"]
# Probes are never removed. SlipCover removes them by walking all modules in the middle of a test,
# which fails where a dictionary of theirs grows meanwhile, and costs more than the probes do.
NEVER = 2**31 - 1
# From Python 3.12 on the interpreter itself notes lines, and code needs marks of branches only.
IN_CODE = sys.version_info < (3, 12)
# What stands for a probe, and for the function that it is given to, in code that is kept.
PROBE = "support.measuring.probe"
SIGNAL = "support.measuring.signal"
Kept = tuple[list[Any], CodeType, list[int], list[tuple[int, int]]]


def _new_probes() -> Slipcover:
    return Slipcover(
        branch=True, source=[str(PACKAGE)], exclude_also=EXCLUDED, d_miss_threshold=NEVER
    )


def _prepare(path: Path) -> Kept:
    """Return a module's code with what stands for its probes, its lines and its branches."""
    probes = _new_probes()
    tree = branch.preinstrument(ast.parse(path.read_bytes()))
    code = compile(tree, str(path), "exec")
    if IN_CODE:
        with pytest.MonkeyPatch.context() as patch:
            stand_in = SimpleNamespace(new=lambda _, __, place, ___: (PROBE, place), signal=SIGNAL)
            patch.setattr(implementation, "probe", stand_in)
            code = probes.instrument(code)
    lines, branches = probes.code_lines[str(path)], probes.code_branches[str(path)]
    return _version(path), code, list(lines), list(branches)


def _version(path: Path) -> list[Any]:
    state = path.stat()
    return [str(path), state.st_mtime_ns, state.st_size, slipcover.__version__]


def keep(path: Path) -> Kept:
    """Return what is kept of a module; prepare it if that is of another version or not there."""
    place = Path(cache_from_source(str(path), optimization="probes"))
    try:
        kept: Kept = marshal.loads(place.read_bytes())
        if kept[0] == _version(path):
            return kept
    except (OSError, ValueError, EOFError, TypeError):
        pass
    kept = _prepare(path)
    place.parent.mkdir(exist_ok=True)
    draft = place.with_suffix(f".{os.getpid()}")
    draft.write_bytes(marshal.dumps(kept))
    draft.replace(place)
    return kept


class Measured(SourceFileLoader):
    """Loads a module with its probes."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        _, code, lines, branches = keep(Path(self.path))
        assert PROBES is not None
        if IN_CODE:
            PROBES.code_lines[self.path].update(lines)
            PROBES.code_branches[self.path].update(branches)
            code = _put_in(code, PROBES)
        else:
            code = PROBES.instrument(code)
        exec(code, module.__dict__)


def _put_in(code: CodeType, probes: Slipcover) -> CodeType:
    """Return the code with probes in the place of what stands for them."""

    def real(value: Any) -> Any:
        if isinstance(value, CodeType):
            return _put_in(value, probes)
        if isinstance(value, tuple) and value[:1] == (PROBE,):
            return implementation.probe.new(probes, code.co_filename, value[1], NEVER)
        return implementation.probe.signal if value == SIGNAL else value

    return code.replace(co_consts=tuple(map(real, code.co_consts)))


class Finder(MetaPathFinder):
    """Finds the package's modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the package is, and that it is loaded with probes."""
        if fullname.partition(".")[0] != PACKAGE.name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Measured(fullname, spec.loader.path)
        return spec


# A plugin that `-p` names is imported before any conftest, which imports the package.
PROBES = _new_probes() if DIRECTORY in os.environ else None


def _write() -> None:
    """Write the lines that this process has run."""
    assert PROBES is not None
    with warnings.catch_warnings(action="ignore"):
        found = PROBES.get_coverage()
    (Path(os.environ[DIRECTORY]) / f"{os.getpid()}.json").write_text(json.dumps(found))


if PROBES is not None:
    sys.meta_path.insert(0, Finder())
    # At the end of each worker, too.
    atexit.register(_write)
