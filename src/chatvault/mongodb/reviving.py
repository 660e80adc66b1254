"""Revives the keeper of an embedded MongoDB while a service runs on it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

_LOOK_SECONDS = 1.0  # between two calls
_LONGEST_PAUSE = 10.0  # seconds between two attempts
log = structlog.get_logger()


@contextmanager
def reviving(revive: Callable[[threading.Event], bool]) -> Iterator[None]:
    """Call a function every second, in a thread, and less often while it fails.

    Args:
        revive: replaces the keeper if it is gone, and returns whether it did; it stops when its
            argument is set. Errors are logged, once in a row, and it is called again.
    """
    over = threading.Event()

    def watch() -> None:
        pause, trouble = _LOOK_SECONDS, ""
        while not over.wait(pause):
            try:
                if revive(over):
                    log.warning("embedded_mongodb_restarted")
                pause, trouble = _LOOK_SECONDS, ""
            # Any error may pass, as a full disk does, and nothing else revives mongod.
            except Exception as error:  # noqa: BLE001  # as said
                reason = f"{type(error).__name__}: {error}"
                if reason != trouble and not over.is_set():
                    log.error("embedded_mongodb_trouble", reason=reason)  # noqa: TRY400  # no trace
                pause, trouble = min(2 * pause, _LONGEST_PAUSE), reason

    thread = threading.Thread(target=watch, name="chatvault-keeper-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
