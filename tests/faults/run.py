"""Makes one small fault after the other and sees that tests catch each: `scripts/faults --help`.

A fault is a patch beside this file. Above its diff stand the rule that it breaks and the tests that
should notice. It is applied to a copy of the checkout, never to the checkout itself.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SECONDS = 1800
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """One patch.

    Attributes:
        path: of the file.
        rule: that it breaks, in a sentence.
        tests: paths that pytest takes; one of them should fail.
    """

    path: Path
    rule: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return self.path.stem


class Stale(Exception):
    """The code has changed, so that the patch does not apply any more."""


def load_faults() -> list[Fault]:
    """All of them, by name."""
    return [_read(path) for path in sorted(HERE.glob("*.patch"))]


def _read(path: Path) -> Fault:
    head, _, _ = path.read_text().partition("\n--- ")
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    return Fault(path, fields["Rule"], tuple(fields["Tests"].split()))


def apply(fault: Fault, folder: Path, *, check: bool = False) -> None:
    """Apply the patch to a copy of the checkout, or see whether it could be.

    Raises:
        Stale: it does not apply.
    """
    options = ["--check"] if check else []
    done = subprocess.run(
        ["git", "apply", "-C1", *options, str(fault.path)],
        cwd=folder,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Stale(done.stderr.strip().splitlines()[-1])


@contextmanager
def copy() -> Iterator[Path]:
    """A copy of the checkout as it is now, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="chatvault-fault-") as place:
        folder = Path(place) / "checkout"
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        yield folder


def run_tests(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """How pytest ended, and what it printed."""
    arguments = ["-x", "-q", "--no-header", "--tb=no", "-rfE", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, f"--basetemp={folder.parent}/tmp", *tests],
        cwd=folder,
        # Before the checkout's own, which is installed.
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def try_fault(fault: Fault) -> bool:
    """Whether the fault is caught; says so, and by which test."""
    began = time.monotonic()
    try:
        with copy() as folder:
            apply(fault, folder)
            status, said = run_tests(folder, fault.tests)
    except Stale as stale:
        print(f"STALE   {fault.name}: {stale}", flush=True)
        return False
    except subprocess.TimeoutExpired:
        print(f"BROKEN  {fault.name}: its tests did not end in {SECONDS} s", flush=True)
        return False
    found = FAILED.search(said)
    seconds = f"{time.monotonic() - began:.0f} s"
    if status == 1 and found:
        print(f"caught  {fault.name}: {found[1]} ({seconds})", flush=True)
        return True
    if status == 0:
        print(f"MISSED  {fault.name}: {fault.rule} ({seconds})", flush=True)
    else:
        print(f"BROKEN  {fault.name}: pytest ended with {status}\n{said[-3000:]}", flush=True)
    return False


def main() -> int:
    """Try the faults.

    Returns:
        The exit status: 0 where each was caught.
    """
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="*", help="some of them; all, if none is named")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="how many at the same time")
    options = parser.parse_args()
    faults = {fault.name: fault for fault in load_faults()}
    if unknown := [name for name in options.names if name not in faults]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(faults)}")
    wanted = [faults[name] for name in options.names or faults]
    with ThreadPoolExecutor(options.jobs) as executor:
        caught = sum(executor.map(try_fault, wanted))
    print(f"{caught} of {len(wanted)} faults caught")
    return 0 if caught == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
