"""What the load generator and the driver's loop have in common: a job, a clock, a summary."""

import resource
import sys
import time
from collections import Counter
from typing import Any, TypedDict

import orjson


class Summary(TypedDict):
    """The measurements of one group of connections, without the warm-up."""

    count: int
    rps: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]


class Result(TypedDict):
    """The measurements of one run; `cpu` is the cores that the measuring process itself used."""

    groups: list[Summary]
    cpu: float


class Tally:
    """Counts answers from the end of the warm-up, and says when to stop."""

    def __init__(self, warmup: float, seconds: float) -> None:
        self.began = time.perf_counter() + warmup
        self.end = self.began + seconds
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()

    def note(self, sent: float, status: int) -> bool:
        """Count one answer; False once it is time to stop."""
        now = time.perf_counter()
        self.statuses[status] += 1  # failures of the warm-up count, too
        if self.began <= now <= self.end:
            self.latencies.append(now - sent)
        return now < self.end

    def summary(self) -> Summary:
        """Rate and percentiles."""
        ordered = sorted(self.latencies) or [0.0]
        return {
            "count": len(self.latencies),
            "rps": len(self.latencies) / (self.end - self.began),
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }


class CpuClock:
    """The cores that this process keeps busy from now on."""

    def __init__(self) -> None:
        self._at = time.perf_counter()
        self._used = self._cpu()

    @staticmethod
    def _cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def cores(self) -> float:
        """Return how many, on average."""
        return (self._cpu() - self._used) / (time.perf_counter() - self._at)


def read_job() -> dict[str, Any]:
    """Return the job that the parent process wrote to stdin."""
    job: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    return job


def write_result(result: Result) -> None:
    """Hand the result to the parent process."""
    sys.stdout.buffer.write(orjson.dumps(result))
