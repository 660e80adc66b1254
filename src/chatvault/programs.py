"""Programs of this package that run in a subprocess, for as long as there is work for them."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from chatvault.settings import program_environment


class Pipes(NamedTuple):
    """The standard input and output of a program."""

    input: asyncio.StreamWriter
    output: asyncio.StreamReader


class Program:
    """Starts a program when it is needed, and ends it when it is idle.

    Args:
        arguments: Python's, that name the module and its options.
        idle_seconds: it ends after as many without work.
        most: it ends after as many exchanges; 0 for any number.
    """

    def __init__(self, arguments: Sequence[str], *, idle_seconds: float, most: int = 0) -> None:
        self._arguments = arguments
        self._idle_seconds = idle_seconds
        self._most = most
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._exchanges = 0
        self._idle: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Pipes]:
        """Wait for a turn, and yield the pipes for one exchange; an error in it kills the program.

        After a cancellation in the middle of an exchange, too, the next one needs a new program.

        Raises:
            OSError: it cannot be started.
        """
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            if self._most and self._exchanges >= self._most:
                await self.close()
            pipes = await self._start()
            self._exchanges += 1
            is_done = False
            try:
                yield pipes
                is_done = True
            finally:
                if is_done:
                    loop = asyncio.get_running_loop()
                    self._idle = loop.call_later(self._idle_seconds, self._let_end)
                else:
                    await self.close()

    async def close(self) -> None:
        """End the program."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Reads to the end, or the pipes would stay open.
            await process.communicate()

    async def _start(self) -> Pipes:
        """Return the pipes of the program, which is started if it does not run."""
        process = self._process
        if process is not None and process.stdin is not None and process.stdin.is_closing():
            await self.close()
            process = None
        if process is None:
            self._exchanges = 0
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                env=program_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        if process.stdin is None or process.stdout is None:
            raise BrokenPipeError
        return Pipes(process.stdin, process.stdout)

    def _let_end(self) -> None:
        """Let the program end by itself, at the end of its input."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
