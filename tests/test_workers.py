"""The plugin of pytest that runs the tests in forks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent
TESTS = {
    "test_many": """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(150))
def test_passes(number, tmp_path):
    with pathlib.Path("ran").open("a") as ran:
        ran.write(f"{number} {os.getpid()}\\n")
""",
    "test_group": """
import os, pathlib, pytest
pytestmark = pytest.mark.xdist_group("one")

@pytest.fixture(scope="session", autouse=True)
def shared():
    yield
    pathlib.Path("ended").touch()

@pytest.mark.parametrize("number", range(5))
def test_passes(number):
    with pathlib.Path("group").open("a") as ran:
        ran.write(f"{os.getpid()}\\n")
""",
    "test_bad": """
import os, pytest

def test_fails():
    print("said before")
    assert 1 == 2

def test_dies():
    os._exit(3)

def test_is_run_by_another():
    pytest.skip("was reached")
""",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A directory of tests, and what pytest says of them."""
    place = tmp_path_factory.mktemp("tests")
    for name, text in TESTS.items():
        (place / f"{name}.py").write_text(text)
    (place / "pytest.ini").write_text("[pytest]\nmarkers = xdist_group\n")
    own = {name: each for name, each in os.environ.items() if not name.startswith("TESTS_")}
    command = [sys.executable, "-m", "pytest", "-p", "support.workers", "--workers=3", "-rfs"]
    done = subprocess.run(
        [*command, "-p", "no:playwright", "-p", "no:schemathesis", f"--basetemp={place}/temporary"],
        cwd=place,
        env=own | {"PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return place, done


Ran = tuple[Path, subprocess.CompletedProcess[str]]


class TestWorkers:
    def test_run_each_test_once(self, ran: Ran) -> None:
        place, done = ran
        lines = (place / "ran").read_text().splitlines()
        assert sorted(int(line.split()[0]) for line in lines) == list(range(150)), done.stdout
        assert re.search(r"2 failed, 155 passed, 1 skipped", done.stdout)
        assert done.returncode == 1

    def test_run_side_by_side(self, ran: Ran) -> None:
        place, _ = ran
        assert len({line.split()[1] for line in (place / "ran").read_text().splitlines()}) > 1

    def test_do_a_group_one_after_the_other(self, ran: Ran) -> None:
        place, _ = ran
        assert len(set((place / "group").read_text().splitlines())) == 1

    def test_end_what_a_session_shares(self, ran: Ran) -> None:
        place, _ = ran
        assert (place / "ended").exists()

    def test_show_why_a_test_failed(self, ran: Ran) -> None:
        _, done = ran
        assert "assert 1 == 2" in done.stdout
        assert "said before" in done.stdout

    def test_report_a_test_that_ends_its_worker_and_continue(self, ran: Ran) -> None:
        _, done = ran
        assert "the worker ended with 3" in done.stdout
        assert "was reached" in done.stdout
