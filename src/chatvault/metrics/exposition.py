"""The text of metrics: of one process, or of several together."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
# When each series began: the library adds a gauge for each, which nobody needs.
BEGINNING: Final = "_created"
HELP: Final = b"# HELP "


class _OfWorker(CollectorRegistry):
    """A registry's metrics, each with the number of the worker process.

    Args:
        registry: has the metrics.
        worker: the number.
    """

    def __init__(self, registry: CollectorRegistry, worker: int) -> None:
        super().__init__()
        self._registry = registry
        self._label = {"worker": str(worker)}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**self._label, **sample.labels})
                for sample in metric.samples
                if not sample.name.endswith(BEGINNING)
            ]
            yield metric


def text_of(registry: CollectorRegistry, worker: int) -> bytes:
    """Return the metrics of a process as text.

    Args:
        registry: of its application.
        worker: the number of the process, from 0.
    """
    return generate_latest(_OfWorker(registry, worker))


def merge(texts: Iterable[bytes]) -> bytes:
    """Return several texts as one, in which the samples of a metric stand together.

    Args:
        texts: of processes that have different labels.
    """
    families: dict[bytes, list[bytes]] = {}
    for text in texts:
        for family in text.split(HELP)[1:]:
            head, kind, *samples = family.splitlines(keepends=True)
            families.setdefault(HELP + head + kind, []).extend(samples)
    return b"".join(part for head, samples in families.items() for part in (head, *samples))
