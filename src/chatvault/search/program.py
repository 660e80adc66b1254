"""The program that writes indexes, so that splitting text into words holds up no request.

It takes requests on its standard input, and answers each: `python -m chatvault.search.program`.
A request is its length and JSON `[directory, dropped, texts]`, as `index.write` takes them.
"""

import contextlib
import os
import struct
import sys
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from chatvault.search import index

LENGTH: Final = struct.Struct(">Q")
DONE: Final = b"\0"
FAILED: Final = b"\1"
# It gives way to the service.
NICE: Final = 10


def main() -> None:
    """Carry out requests until the input ends."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    while (request := _read(sys.stdin.buffer)) is not None:
        directory, dropped, texts = orjson.loads(request)
        try:
            index.write(Path(directory), dropped, texts)
        except (ValueError, OSError) as error:
            sys.stderr.write(f"{type(error).__name__}\n")
            answer = FAILED
        else:
            answer = DONE
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _read(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    [size] = LENGTH.unpack(head)
    data = source.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    main()
