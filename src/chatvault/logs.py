"""Log lines, as JSON or for reading, each with the id of its request."""

import contextlib
import io
import logging
import sys
from typing import Any, TextIO, cast

import structlog

from chatvault.settings import LogFormat, Settings


class Stderr(io.TextIOBase):
    """Standard error; a line that cannot be written is dropped without an error.

    A full disk under a redirected log would otherwise end background work and fail requests.
    """

    def write(self, text: str) -> int:
        """Write the text, or drop it if it cannot be written."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, ignoring errors."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure_logs(settings: Settings) -> None:
    """Send structlog's and the standard library's lines to standard error in one format."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if settings.log_format is LogFormat.JSON:
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(transform))
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        # Without the frames' variables, which hold message text and passwords.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    stream = Stderr()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
