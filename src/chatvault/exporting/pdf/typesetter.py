"""Make PDFs in a subprocess with limits of memory, processor time and time."""

import asyncio
import contextlib
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
        [*_command(), "--families"],
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


def _command() -> Sequence[str]:
    limits = (f"--megabytes={MEGABYTES}", f"--seconds={SECONDS}")
    return (sys.executable, *PROGRAM, *limits)


class Typesetter:
    """Makes PDFs, one at a time, in a subprocess that runs only while it is needed."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._left = 0
        self._idle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the subprocess."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Reads to the end, or the pipes would stay open.
            await process.communicate()

    async def make(self, source: bytes) -> bytes:
        """Make a PDF of the source.

        Raises:
            PdfFailed: typst refuses it, or takes too long, or too much memory.
        """
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            if self._left == 0:
                await self.close()
            process = self._process or await self._start()
            self._left -= 1
            made = None
            try:
                async with asyncio.timeout(TIMEOUT):
                    made = await _exchange(process, source)
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                log.warning("pdf_failed", error=type(error).__name__, size=len(source))
                raise PdfFailed from error
            finally:
                # After a cancellation in the middle, the subprocess is in an undefined state.
                if made is None:
                    await self.close()
                else:
                    loop = asyncio.get_running_loop()
                    self._idle = loop.call_later(IDLE_SECONDS, self._let_end)
            return made

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *_command(),
            env=program_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._left = MOST_FILES
        return self._process

    def _let_end(self) -> None:
        """Have the subprocess end, as it was idle for a while."""
        self._left = 0
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


async def _exchange(process: asyncio.subprocess.Process, source: bytes) -> bytes:
    """Send a source and return the PDF.

    Raises:
        PdfFailed: typst refuses it.
        OSError: the subprocess has ended.
        IncompleteReadError: it has ended in the middle.
    """
    if process.stdin is None or process.stdout is None:
        raise PdfFailed
    process.stdin.write(LENGTH.pack(len(source)) + source)
    await process.stdin.drain()
    [size] = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    if size == FAILED:
        raise PdfFailed
    return await process.stdout.readexactly(size)
