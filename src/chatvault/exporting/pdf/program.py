"""The subprocess that makes PDFs: reads sources and writes PDFs, each after its length.

It is a process of its own, as typst can neither be interrupted nor limited in memory
inside the service. It limits itself before it reads anything.
"""

import argparse
import json
import os
import struct
import sys
import tempfile
from typing import BinaryIO

MB = 1024**2
LENGTH = struct.Struct("!I")
# The length that stands for a failure.
FAILED = 0xFFFFFFFF
# The service goes first.
NICENESS = 10


def main() -> None:
    """Make a PDF of each source, or list the font families."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--families", action="store_true")
    wanted = parser.parse_args()
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    limit_memory(wanted.megabytes * MB)
    import typst  # noqa: PLC0415  # imported after the memory limit is set

    if wanted.families:
        print(json.dumps(typst.Fonts().families()))  # noqa: T201  # the service reads it
        return
    with tempfile.TemporaryDirectory() as empty:
        # Sources need no files or packages; an empty directory makes sure that there are none.
        compiler = typst.Compiler(root=empty, package_path=empty, package_cache_path=empty)
        while source := read_frame(sys.stdin.buffer):
            limit_processor(wanted.seconds)
            try:
                made = compiler.compile(source, format="pdf")
            except typst.TypstError as error:
                print(error.message, file=sys.stderr)  # noqa: T201  # quotes no text of the source
                made = None
            write_frame(sys.stdout.buffer, made if isinstance(made, bytes) else None)


def read_frame(stream: BinaryIO) -> bytes:
    """Return the next frame; empty at the end."""
    head = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def write_frame(stream: BinaryIO, data: bytes | None) -> None:
    """Write a frame with data, or one that stands for a failure."""
    stream.write(LENGTH.pack(FAILED if data is None else len(data)))
    stream.write(data or b"")
    stream.flush()


def limit_memory(size: int) -> None:
    """Limit this process's address space, if the system supports it."""
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_processor(seconds: int) -> None:
    """Limit this process to that many more seconds of processor time."""
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
