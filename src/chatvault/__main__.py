"""The entry point of `chatvault` and `python -m chatvault`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line; Ctrl-C ends with one line even while its modules are loaded."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, _leave)
    # Imported here, inside the `try`: loading it takes a second, in which Ctrl-C may come.
    from chatvault.cli import main as cli  # noqa: PLC0415  # as said

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"chatvault: interrupted\n")
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
