"""What metrics cost: processor time of an append with them and without.

Run by `python benchmarks/metered.py`. Both services answer in this process, beside their client, in
turns; so the difference is that of the service, and the whole is more than the service's. The last
line is the cost of the calls alone.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from chatvault.conversations.routes import COMMITS
from chatvault.http.requests import METRICS
from chatvault.metrics.instruments import Metrics
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.settings import Settings
from in_process import append_many, start

ROUNDS = 60
BATCH = 12


class Nothing:
    """Takes each call, and does nothing."""

    def observe(self, *_: object) -> None:
        """Do nothing."""


class Unmeasured:
    """A commit queue's metrics that measure nothing."""

    wait = size = seconds = Nothing()


async def main() -> None:
    """Measure, and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder, embedded_mongodb(Path(folder)) as url:
        settings = Settings(data_dir=Path(folder), bcrypt_rounds=4)
        sides = [await start(settings, url, name) for name in ("with", "without")]
        app: Any = sides[1][0].server
        app.app[METRICS].requests = Nothing()
        app.app[COMMITS]._metrics = Unmeasured()  # noqa: SLF001  # no setting does this
        took: list[list[float]] = [[], []]
        for round_no in range(ROUNDS + 3):
            for number in (0, 1) if round_no % 2 else (1, 0):
                seconds = await append_many(*sides[number])
                if round_no >= 3:  # before, caches fill
                    took[number].append(seconds * 1e6)
        for client, _ in sides:
            await client.close()
    _print(*took)


def _print(measured: list[float], unmeasured: list[float]) -> None:
    """Print the medians, and the difference of the rounds with its 95 % interval."""
    differences = [a - b for a, b in zip(measured, unmeasured, strict=True)]
    middle = statistics.mean(differences)
    half = 1.96 * statistics.stdev(differences) / len(differences) ** 0.5
    whole = statistics.median(unmeasured)
    print(f"an append with its client: {whole:.0f} us without metrics")
    print(f"difference: {middle:+.1f} us +- {half:.1f} ({ROUNDS} rounds), {middle / whole:+.2%}")
    metrics = Metrics()
    began = time.process_time()
    for count in range(100_000):
        metrics.requests.observe("/conversations/{conversation_id}/messages", "POST", 200, 0.01)
        metrics.commits.wait.observe(0.001)
        if count % BATCH == 0:
            metrics.commits.size.observe(BATCH)
            metrics.commits.seconds.observe(0.004)
    alone = (time.process_time() - began) * 10
    print(f"the calls alone: {alone:.1f} us, {alone / whole:.2%}")


if __name__ == "__main__":
    asyncio.run(main())
