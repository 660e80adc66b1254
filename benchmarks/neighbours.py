"""How busy other programs keep the machine during a measurement."""

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]  # it carries no annotations

# Cores that others may use, and that must be idle if they use more, for figures to be judged.
OTHERS = 0.2
IDLE = 0.5


@dataclass(frozen=True)
class Load:
    """How busy the machine was for a while, in cores.

    Attributes:
        others: kept busy by programs that are not ours, or taken away by a hypervisor.
        idle: left over.
    """

    others: float
    idle: float

    @property
    def is_too_busy(self) -> bool:
        """Whether our programs had to wait for a core that others had."""
        return self.others > OTHERS and self.idle < IDLE


def median(loads: Sequence[Load]) -> Load:
    """Return the load of several whiles together."""
    return Load(
        statistics.median(each.others for each in loads),
        statistics.median(each.idle for each in loads),
    )


class Watch:
    """Measures the load from its creation on.

    Args:
        ours: the processor time of our programs so far, without this one and its children.
    """

    def __init__(self, ours: Callable[[], float]) -> None:
        self._ours = ours
        self._before = self._read()

    def _read(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = float(times.idle + getattr(times, "iowait", 0.0))
        mine = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        return time.monotonic(), idle, self._ours() + mine

    def load(self) -> Load:
        """Return how busy the machine was until now."""
        seconds, idle, ours = (b - a for a, b in zip(self._before, self._read(), strict=True))
        cores = psutil.cpu_count() or 1
        return Load(max(0.0, cores - (idle + ours) / seconds), idle / seconds)


def look(seconds: float) -> Load:
    """Return the load while nothing of ours runs."""
    watch = Watch(lambda: 0.0)
    time.sleep(seconds)
    return watch.load()
