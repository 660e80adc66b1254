"""Looks after the keeper of an embedded MongoDB for as long as a service runs on it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

_LOOK_SECONDS = 1.0  # between two looks
_LONGEST_PAUSE = 10.0  # seconds between two attempts
log = structlog.get_logger()


@contextmanager
def reviving(revive: Callable[[threading.Event], bool]) -> Iterator[None]:
    """Call a function every second, in a thread, and less often while it fails.

    Args:
        revive: replaces the keeper if it is gone, and tells whether it did; gives up when its
            argument is set. Whatever it raises is logged, once in a row, and tried again.
    """
    over = threading.Event()

    def watch() -> None:
        pause, trouble = _LOOK_SECONDS, ""
        while not over.wait(pause):
            try:
                if revive(over):
                    log.warning("embedded_mongodb_restarted")
                pause, trouble = _LOOK_SECONDS, ""
            # Whatever it is may pass, as a full disk does, and nobody else looks after mongod.
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
