"""A plugin of pytest for runs with several workers, which makes their collection cheaper.

Each worker imports all tests. Here pytest rewrites their assertions once, before the workers begin,
and Python looks for no garbage in the meantime, of which there is none.
"""

import gc
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

TESTS = Path(__file__).parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin to import the tests and what they need."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Set aside all that was imported: no search for garbage looks at it again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Rewrite the tests' assertions, and keep the code where the workers look for it."""
    state = config.stash[rewrite.assertstate_key]
    for path in (*TESTS.rglob("conftest.py"), *TESTS.rglob("test_*.py")):
        kept = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
        # There is no public way to do this without running the tests' modules.
        if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(kept.parent):
            source, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(state, code, source, kept)
