"""The instruments of one application, which measure what its process does.

Labels have a route's template, a method, a status, or a name of ours: never an id, a title, a path
or anything else of a user's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES: Final = (1, 2, 4, 8, 16, 32)
# In place of the route of a request that has none, and of its method, which may be any word.
NO_ROUTE: Final = "none"
OTHER_METHOD: Final = "OTHER"


class RequestMetrics:
    """Counts requests, and measures how long their answers take.

    Args:
        registry: of the application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "chatvault_requests",
            "Requests that were answered, by route template.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "chatvault_request_duration_seconds",
            "Time to answer a request, without streams.",
            ("route", "method"),
            buckets=SECONDS,
            registry=registry,
        )
        # Looking up a child by its labels costs more than to count.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, route: str | None, method: str, status: int, seconds: float | None) -> None:
        """Count a request.

        Args:
            route: the template of its path; None without one.
            method: the request's.
            status: of the answer.
            seconds: the duration; None for a stream.
        """
        key = (NO_ROUTE, OTHER_METHOD, status) if route is None else (route, method, status)
        found = self._known.get(key)
        if found is None:
            labels = key[:2]
            found = self._count.labels(*labels, str(status)), self._seconds.labels(*labels)
            self._known[key] = found
        found[0].inc()
        if seconds is not None:
            found[1].observe(seconds)


class CommitMetrics:
    """Measures the commit queue.

    Args:
        registry: of the application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge(
            "chatvault_commit_queue_depth",
            "Changes of conversations that wait for a batch.",
            registry=registry,
        )
        self.wait = Histogram(
            "chatvault_commit_queue_wait_seconds",
            "Time that a change waited for a batch.",
            buckets=SECONDS,
            registry=registry,
        )
        self.size = Histogram(
            "chatvault_commit_batch_changes",
            "Changes in a batch.",
            buckets=SIZES,
            registry=registry,
        )
        self.seconds = Histogram(
            "chatvault_commit_duration_seconds",
            "Time of a batch's transaction, with reading and deciding.",
            buckets=SECONDS,
            registry=registry,
        )


class TokenMetrics:
    """Counts the tokens that models used.

    Args:
        registry: of the application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "chatvault_tokens",
            "Tokens of requests to models, by direction (input, output) and purpose.",
            ("direction", "purpose"),
            registry=registry,
        )

    def count(self, purpose: str, tokens: tuple[int, int]) -> None:
        """Count the tokens of a request to a model.

        Args:
            purpose: reply, completion, title, summary, or another kind of ours.
            tokens: of the input and of the output.
        """
        for direction, amount in zip(("input", "output"), tokens, strict=True):
            self._count.labels(direction, purpose).inc(amount)


class ConnectionMetrics:
    """Counts open connections.

    Args:
        registry: of the application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.http = Gauge(
            "chatvault_http_connections", "Open connections of clients.", registry=registry
        )
        self._streams = Gauge(
            "chatvault_stream_connections",
            "Open streams of events, by transport (sse, websocket).",
            ("transport",),
            registry=registry,
        )
        for transport in ("sse", "websocket"):
            self._streams.labels(transport)

    @contextmanager
    def stream(self, transport: str) -> Iterator[None]:
        """Count a stream as open while the context lasts.

        Args:
            transport: `sse` or `websocket`.
        """
        open_streams = self._streams.labels(transport)
        open_streams.inc()
        try:
            yield
        finally:
            open_streams.dec()


class Metrics:
    """The instruments of an application, in a registry of their own.

    Attributes:
        registry: has all of them.
        stream_delay: how late changes came out of a change stream.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = RequestMetrics(self.registry)
        self.commits = CommitMetrics(self.registry)
        self.tokens = TokenMetrics(self.registry)
        self.connections = ConnectionMetrics(self.registry)
        self.stream_delay = Histogram(
            "chatvault_change_stream_delay_seconds",
            "Time from the commit of a change to its delivery to live connections.",
            buckets=SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read whenever the metrics are.

        Args:
            name: of the gauge.
            help_text: a sentence about it.
            read: returns the value.
        """
        Gauge(name, help_text, registry=self.registry).set_function(read)
