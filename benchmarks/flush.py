"""How long the disk takes for a flush, and a mongod for which a flush takes longer.

The targets assume a disk that needs some milliseconds for a flush. Where the machine's own disk
is faster, `slow_mongod` lets each flush of mongod take as long as on such a disk: it preloads
`slowflush.c`, which needs a C compiler. Nothing of the service knows about it.
"""

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatvault.mongodb.embedded import find_mongod

HERE = Path(__file__).resolve().parent
PROBES = 200


def flush_ms() -> float:
    """Return how long a flush of 4 KB takes, where the data lies: a durable write waits for it."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(PROBES):
            os.write(file.fileno(), bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


@contextmanager
def slow_mongod(wanted_ms: float) -> Iterator[float]:
    """Slow down each flush of every mongod that is started inside.

    Args:
        wanted_ms: how long a flush shall take.

    Yields:
        How long one takes, measured.

    Raises:
        SystemExit: there is no C compiler, or the disk is slower than wanted.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("--flush-ms needs a C compiler (cc) on PATH")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "slowflush.so")
        source = HERE / "slowflush.c"
        subprocess.run(  # noqa: S603  # our own program
            [compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True
        )
        slowed = _settings(library, 0)
        pause_us = (wanted_ms - _measure(slowed)) * 1000
        if pause_us <= 0:
            raise SystemExit(f"a flush takes longer than {wanted_ms} ms here already")
        slowed = _settings(library, pause_us)
        # What the sleep itself adds is taken off, once.
        slowed = _settings(library, pause_us - (_measure(slowed) - wanted_ms) * 1000)
        wrapper = Path(folder, "mongod")
        given = " ".join(f"{name}={shlex.quote(value)}" for name, value in slowed.items())
        wrapper.write_text(f'#!/bin/sh\n{given} exec {shlex.quote(str(find_mongod()))} "$@"\n')
        wrapper.chmod(0o755)
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}{os.pathsep}{path}"
        try:
            yield _measure(slowed)
        finally:
            os.environ["PATH"] = path


def _settings(library: Path, pause_us: float) -> dict[str, str]:
    return {"LD_PRELOAD": str(library), "FLUSH_PAUSE_US": str(max(0, round(pause_us)))}


def _measure(slowed: dict[str, str]) -> float:
    """`flush_ms` in a process whose flushes are slowed as mongod's will be."""
    shown = subprocess.run(  # noqa: S603  # this very file
        [sys.executable, __file__], env={**os.environ, **slowed}, stdout=subprocess.PIPE, check=True
    )
    return float(shown.stdout)


if __name__ == "__main__":
    print(flush_ms())
