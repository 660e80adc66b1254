"""Puts the metrics of all worker processes and of the database together."""

from collections.abc import Awaitable, Callable, Mapping

from chatvault.administration.readings import Readings, to_text
from chatvault.metrics.exposition import merge, text_of
from chatvault.metrics.instruments import Metrics

# By the number of a worker, its metrics; None if it does not answer.
Others = Mapping[int, bytes | None]
UP = (
    b"# HELP chatvault_worker_up Whether a worker process answers.\n"
    b"# TYPE chatvault_worker_up gauge\n"
)


async def _find_none() -> Others:
    return {}


class Exposition:
    """The metrics of the service, as any of its processes can give them.

    Args:
        metrics: of this process.
        readings: of the database.

    Attributes:
        worker: the number of this process.
        find_others: returns the metrics of the other processes.
    """

    def __init__(self, metrics: Metrics, readings: Readings) -> None:
        self._metrics = metrics
        self._readings = readings
        self.worker = 0
        self.find_others: Callable[[], Awaitable[Others]] = _find_none

    def show_own(self) -> bytes:
        """Return the metrics of this process."""
        return text_of(self._metrics.registry, self.worker)

    async def show_all(self) -> bytes:
        """Return the metrics of all processes and of the database."""
        found = {**await self.find_others(), self.worker: self.show_own()}
        up = b"".join(
            b'chatvault_worker_up{worker="%d"} %d\n' % (number, text is not None)
            for number, text in sorted(found.items())
        )
        texts = [text for _, text in sorted(found.items()) if text is not None]
        return merge([UP + up, *texts, to_text(await self._readings.read())])
