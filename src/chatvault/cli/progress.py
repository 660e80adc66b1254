"""Show the progress of a long command: a bar on a terminal, else a line from time to time."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from chatvault.cli.terminal import err

# Elsewhere than on a terminal: seconds between two lines, the first of them as late.
LINE_EVERY: Final = 10.0
MB: Final = 1024 * 1024


class _RateColumn(ProgressColumn):
    """Shows the number of items per second."""

    def render(self, task: Task) -> RenderableType:
        """Return the rate, once there is one."""
        return Text("" if not task.speed else f"{task.speed:,.0f}/s")


class CountedFile(io.BufferedReader):
    """A file that tells how many bytes are read of it.

    Args:
        path: the file's path.
        count: called with how many more bytes were read.
    """

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most that many bytes, and count them."""
        data = super().read(size)
        self._count(len(data))
        return data


@contextmanager
def shown_progress(doing: str, *, total: int = 0, size: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how far a work is, on standard error; yield a function to call at each step.

    Args:
        doing: what is done, such as "Importing".
        total: how many conversations there are.
        size: how many bytes there are, where these are counted.
    """
    if not err.is_terminal:
        yield _lines(doing, total or size, "MB" if size else "conversations")
        return
    counted = (
        (DownloadColumn(), TransferSpeedColumn()) if size else (MofNCompleteColumn(), _RateColumn())
    )
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *counted,
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    task = progress.add_task(doing, total=total or size)
    with progress:
        yield lambda more: progress.advance(task, more)


def _lines(doing: str, total: int, unit: str) -> Callable[[int], None]:
    """Return what prints a line every ten seconds, and none of what takes less."""
    began = last = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal last, done
        done += more
        at = time.monotonic()
        if at - last < LINE_EVERY or not done:
            return
        last = at
        scale = MB if unit == "MB" else 1
        rate = done / (at - began)
        left = max(0, total - done) / rate
        err.print(
            f"{doing}: {done // scale:,} of {total // scale:,} {unit}, "
            f"{rate / scale:,.0f} a second, {left:,.0f} s left"
        )

    return advance
