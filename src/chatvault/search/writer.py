"""Writing indexes in a program of its own, for one user after the other."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
import structlog

from chatvault.search.files import IndexTrouble
from chatvault.search.index import Text
from chatvault.search.program import DONE, LENGTH
from chatvault.settings import program_environment

PROGRAM: Final = ("-I", "-m", "chatvault.search.program")
TIMEOUT: Final = 120.0
# It ends when there was nothing to write for so long.
IDLE_SECONDS: Final = 10.0
log = structlog.get_logger()


class NotWritten(IndexTrouble):
    """The program could not write the index."""


class IndexWriter:
    """Writes batches of messages to indexes, one at a time; the program runs while there is work.

    Who waits is served in turn, so that the many batches of one user leave room for others.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """End the program."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # It reads on until the end, or the pipes would stay open.
            await process.communicate()

    async def write(self, directory: Path, dropped: Sequence[str], texts: Sequence[Text]) -> None:
        """Remove the messages of conversations from the index in a directory, and add messages.

        Raises:
            NotWritten: the program failed; the directory may have a part of it.
        """
        request = orjson.dumps([str(directory), dropped, [*map(tuple, texts)]])
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            process = self._process or await self._start()
            is_done = False
            try:
                async with asyncio.timeout(TIMEOUT):
                    is_done = await _exchange(process, request) == DONE
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                log.warning("search_program_failed", error=type(error).__name__)
                raise NotWritten from error
            finally:
                # Whoever is cancelled in the middle leaves a program that no one else can use.
                if is_done:
                    loop = asyncio.get_running_loop()
                    self._idle = loop.call_later(IDLE_SECONDS, self._let_end)
                else:
                    await self.close()
            if not is_done:
                raise NotWritten

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *PROGRAM,
            env=program_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return self._process

    def _let_end(self) -> None:
        """Let the program end by itself, as there was nothing to write for a while."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    """Send a request and return the answer.

    Raises:
        OSError: the program has ended.
        IncompleteReadError: it has ended in the middle.
    """
    if process.stdin is None or process.stdout is None:
        raise NotWritten
    process.stdin.write(LENGTH.pack(len(request)) + request)
    await process.stdin.drain()
    return await process.stdout.readexactly(1)
