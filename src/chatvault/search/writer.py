"""Writing indexes in a program of its own, for one user after the other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
import structlog

from chatvault.programs import Program
from chatvault.search.files import IndexTrouble
from chatvault.search.index import Text
from chatvault.search.program import DONE, LENGTH

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
        self._program = Program(PROGRAM, idle_seconds=IDLE_SECONDS)

    async def close(self) -> None:
        """End the program."""
        await self._program.close()

    async def write(self, directory: Path, dropped: Sequence[str], texts: Sequence[Text]) -> None:
        """Remove the messages of conversations from the index in a directory, and add messages.

        Raises:
            NotWritten: the program failed; the directory may have a part of it.
        """
        request = orjson.dumps([str(directory), dropped, [*map(tuple, texts)]])
        try:
            async with self._program.use() as pipes, asyncio.timeout(TIMEOUT):
                pipes.input.write(LENGTH.pack(len(request)) + request)
                await pipes.input.drain()
                if await pipes.output.readexactly(1) != DONE:
                    raise NotWritten
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            log.warning("search_program_failed", error=type(error).__name__)
            raise NotWritten from error
