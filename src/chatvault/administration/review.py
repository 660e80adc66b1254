"""Showing the health and the metrics of the service to administrators."""

from dataclasses import dataclass
from typing import Protocol

from chatvault.actor import Actor, Role
from chatvault.administration.exposition import Exposition
from chatvault.administration.readings import Readings
from chatvault.administration.schemas import (
    AuditHealthOut,
    LiveHealthOut,
    QueueHealthOut,
    SearchHealthOut,
    ServiceHealthOut,
)
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.metrics.instruments import Metrics
from chatvault.replies.runner import ReplyRunner
from chatvault.search.feed import Feed
from chatvault.tasks import Loops


class LiveState(Protocol):
    """The state of live connections."""

    @property
    def count(self) -> int:
        """The number of connections."""

    @property
    def silence(self) -> float:
        """The seconds since the change stream was last answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDeps:
    """The parts of the service whose state is shown.

    Attributes:
        exposition: puts the metrics together.
        readings: of the database.
        loops: the background loops.
        feed: of searching.
        live: the live connections.
        is_sealing: whether new content is stored sealed.
    """

    recorder: Recorder
    exposition: Exposition
    readings: Readings
    loops: Loops
    commits: CommitQueue
    runner: ReplyRunner
    feed: Feed
    live: LiveState
    is_sealing: bool

    def measure(self, metrics: Metrics) -> None:
        """Add the gauges of these parts, which are read whenever the metrics are."""
        metrics.watch(
            "chatvault_replies_running",
            "Replies that models are writing.",
            lambda: self.runner.running,
        )
        metrics.watch(
            "chatvault_change_stream_silence_seconds",
            "Time since MongoDB answered the change stream of live connections.",
            lambda: self.live.silence,
        )
        metrics.watch(
            "chatvault_search_missing_messages",
            "Messages that the search indexes in use do not have yet.",
            lambda: self.feed.missing,
        )
        metrics.watch(
            "chatvault_failing_loops",
            "Background loops that failed just now.",
            lambda: len(self.loops.failing),
        )


async def get_health(actor: Actor, deps: HealthDeps) -> ServiceHealthOut:
    """Return the health of the service; itself audited.

    Raises:
        Denied: the actor is no administrator.
    """
    actor.require_role(Role.ADMIN)
    reading = await deps.readings.read()
    shown = ServiceHealthOut(
        is_database_up=reading.is_up,
        failing=deps.loops.failing,
        replies_running=deps.runner.running,
        is_sealing=deps.is_sealing,
        commit_queue=QueueHealthOut(waiting=deps.commits.depth),
        live=LiveHealthOut(
            connections=deps.live.count, silence_seconds=round(deps.live.silence, 1)
        ),
        search=SearchHealthOut(users=len(deps.feed), missing_messages=deps.feed.missing),
        audit=AuditHealthOut(
            block=reading.block,
            sealed_at=reading.sealed_at,
            unsealed_seconds=round(reading.unsealed_seconds, 1),
        ),
        jobs=reading.jobs,
    )
    await deps.recorder.record(audit.entry(actor, Action.HEALTH_GET))
    return shown


async def get_metrics(actor: Actor, deps: HealthDeps) -> bytes:
    """Return the metrics of all worker processes as text; itself audited.

    Raises:
        Denied: the actor is no administrator.
    """
    actor.require_role(Role.ADMIN)
    text = await deps.exposition.show_all()
    await deps.recorder.record(audit.entry(actor, Action.METRICS_GET))
    return text
