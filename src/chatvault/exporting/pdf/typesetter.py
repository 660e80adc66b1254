"""Make PDFs in a subprocess with limits of memory, processor time and time."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from chatvault.errors import InvalidInput, Unavailable
from chatvault.exporting.pdf.fonts import missing_scripts
from chatvault.exporting.pdf.program import FAILED, LENGTH
from chatvault.programs import Pipes, Program
from chatvault.settings import program_environment

PROGRAM = ("-I", "-m", "chatvault.exporting.pdf.program")
# Address space; 1,000 messages took 0.7 GB, a part with mostly short lines 1.1 GB.
MEGABYTES = 2048
# Seconds of processor time, and of time, for one file.
SECONDS = 60
TIMEOUT = 120.0
# A subprocess ends after this many files, as typst's caches grow, and when it is idle.
MOST_FILES = 50
IDLE_SECONDS = 2.0
INSTALL = "pip install 'chatvault-server[pdf]', or scripts/bootstrap pdf in a checkout"
log = structlog.get_logger()


class PdfNotInstalled(InvalidInput):
    """This service makes no PDF: its operator has not installed typst."""

    code = "pdf_not_installed"


class PdfFailed(Unavailable):
    """The PDF could not be made; export the conversation as HTML, which can be printed too."""

    code = "pdf_failed"


def is_installed() -> bool:
    """Return whether typst is installed."""
    return importlib.util.find_spec("typst") is not None


def require_installed() -> None:
    """Check that typst is installed.

    Raises:
        PdfNotInstalled: it is not.
    """
    if not is_installed():
        raise PdfNotInstalled


def find_missing_scripts() -> list[str]:
    """Return the scripts that no font of this machine has; takes about a second."""
    done = subprocess.run(  # noqa: S603  # runs this package's own program
        [sys.executable, *PROGRAM, *_limits(), "--families"],
        env=program_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    try:
        return missing_scripts(json.loads(done.stdout))
    except ValueError:
        log.warning("pdf_fonts_not_listed", status=done.returncode)
        return []


def _limits() -> Sequence[str]:
    return (f"--megabytes={MEGABYTES}", f"--seconds={SECONDS}")


class Typesetter:
    """Makes PDFs, one at a time, in a subprocess that runs only while it is needed."""

    def __init__(self) -> None:
        self._program = Program((*PROGRAM, *_limits()), idle_seconds=IDLE_SECONDS, most=MOST_FILES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._program.close()

    async def make(self, source: bytes) -> bytes:
        """Make a PDF of the source.

        Raises:
            PdfFailed: typst refuses it, or takes too long, or too much memory.
        """
        try:
            async with self._program.use() as pipes, asyncio.timeout(TIMEOUT):
                return await _exchange(pipes, source)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            log.warning("pdf_failed", error=type(error).__name__, size=len(source))
            raise PdfFailed from error


async def _exchange(pipes: Pipes, source: bytes) -> bytes:
    """Send a source and return the PDF.

    Raises:
        PdfFailed: typst refuses it.
        OSError: the subprocess has ended.
        IncompleteReadError: it has ended in the middle.
    """
    pipes.input.write(LENGTH.pack(len(source)) + source)
    await pipes.input.drain()
    [size] = LENGTH.unpack(await pipes.output.readexactly(LENGTH.size))
    if size == FAILED:
        raise PdfFailed
    return await pipes.output.readexactly(size)
