"""One benchmark run: the servers, the data, and comparing two sides in turns."""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import psutil  # type: ignore[import-untyped]  # it carries no annotations

from dataset import Account, Yardsticks, message
from measure import Result, Summary
from neighbours import Load, Watch, median
from processes import Server, cpu_seconds, measure

SATURATED = 0.9  # cores; with fewer the generator itself may be the bottleneck


class Figures(TypedDict):
    """Medians of one side's rounds; `beside_rps` of the other groups, `cpu` in cores."""

    rps: float
    beside_rps: float
    p50_ms: float
    p99_ms: float
    answers: int
    failed: int
    cpu: dict[str, float]


class Target(TypedDict):
    """A target, and whether it was met."""

    against: str
    bound: str
    met: bool


class Row(TypedDict):
    """One line of the table: the first side, beside the others.

    Attributes:
        others: the cores that other programs kept busy meanwhile.
        is_judged: whether the machine was quiet enough to judge the targets.
    """

    name: str
    connections: int
    sides: dict[str, Figures]
    ratios: dict[str, float]
    targets: list[Target]
    others: float
    is_judged: bool


@dataclass
class Round:
    """One side's turn: the measured rates, and the cores that each part used."""

    group: Summary
    beside_rps: float
    cpu: dict[str, float]
    failed: int
    load: Load


Side = Callable[[], Round]


@dataclass
class Bench:
    """The resources of a scenario.

    Attributes:
        data_dir: the service's.
        seconds: how long a turn lasts, after its warm-up.
        rounds: how many turns each side has.
        flush_ms: how long mongod waits for the disk.
        readers: the accounts that only read, once a scenario has made them.
        rss_mb: the peak memory under load, by process.
    """

    service: Server
    ceiling: Server
    mongod: psutil.Process
    data_dir: Path
    yardsticks: Yardsticks
    writer: Account
    floor_writer: Account
    bound_writer: Account
    ceiling_writer: Account
    seconds: float
    warmup: float
    rounds: int
    long: bool
    flush_ms: float
    readers: list[Account] = field(default_factory=list)
    rss_mb: dict[str, float] = field(default_factory=dict)
    max_generator: float = 0.0

    def http(self, server: Server, *groups: tuple[int, Sequence[str]], group: int = 0) -> Side:
        """Measure requests over this many connections; of several groups, one is reported."""
        job = {
            "host": server.host,
            "port": server.port,
            "groups": [
                {"connections": connections, "requests": list(requests)}
                for connections, requests in groups
            ],
        }
        return lambda: self._turn("load.py", job, server, group)

    def floor(self, operation: str, connections: int, targets: list[tuple[str, str]]) -> Side:
        """Measure the driver's plain loop over owners and conversations."""
        job = {
            "url": self.yardsticks.url,
            "database": self.yardsticks.database,
            "operation": operation,
            "connections": connections,
            "targets": targets,
            "message": message(0),
        }
        return lambda: self._turn("floor.py", job, None, 0)

    def _turn(self, script: str, job: dict[str, Any], server: Server | None, group: int) -> Round:
        timing = {"seconds": self.seconds, "warmup": self.warmup}
        offset = random.randrange(10_000)  # noqa: S311  # so that turns begin elsewhere
        before = (cpu_seconds(self.mongod), server.cpu_seconds() if server else 0.0)
        watch = Watch(partial(self._ours, server))
        result: Result = measure(script, {**job, **timing, "offset": offset})
        load = watch.load()
        total = self.seconds + self.warmup
        cpu = {"generator": result["cpu"]}
        cpu["mongod"] = (cpu_seconds(self.mongod) - before[0]) / total
        self._remember("mongod", self.mongod.memory_info().rss / 1e6)
        if server:
            cpu["server"] = (server.cpu_seconds() - before[1]) / total
            self.max_generator = max(self.max_generator, result["cpu"])
            if server is self.service:
                self._remember("service", server.rss_mb())
        failed = sum(
            count
            for each in result["groups"]
            for status, count in each["statuses"].items()
            if not status.startswith(("2", "304"))
        )
        reported = result["groups"][group]
        beside_rps = sum(each["rps"] for each in result["groups"]) - reported["rps"]
        return Round(reported, beside_rps, cpu, failed, load)

    def _ours(self, server: Server | None) -> float:
        servers = {self.service, self.ceiling} | ({server} if server else set())
        return cpu_seconds(self.mongod) + sum(each.cpu_seconds() for each in servers)

    def _remember(self, name: str, rss_mb: float) -> None:
        self.rss_mb[name] = max(self.rss_mb.get(name, 0.0), rss_mb)

    def compare(
        self,
        name: str,
        connections: int,
        sides: Mapping[str, Side],
        *,
        at_least: Mapping[str, float] | None = None,
    ) -> Row:
        """Measure the sides in turns; the first one's rate is divided by each other's."""
        turns: dict[str, list[Round]] = {side: [] for side in sides}
        for number in range(self.rounds):
            order = list(sides) if number % 2 == 0 else list(sides)[::-1]
            for side in order:
                turns[side].append(sides[side]())
        mine, *others = sides
        ratios = {
            other: statistics.median(
                a.group["rps"] / b.group["rps"]
                for a, b in zip(turns[mine], turns[other], strict=True)
            )
            for other in others
        }
        targets: list[Target] = [
            {"against": other, "bound": f">= {bound}", "met": ratios[other] >= bound}
            for other, bound in (at_least or {}).items()
        ]
        load = median([each.load for rounds in turns.values() for each in rounds])
        return {
            "name": name,
            "connections": connections,
            "sides": {side: summarize(rounds) for side, rounds in turns.items()},
            "ratios": ratios,
            "targets": targets,
            "others": load.others,
            "is_judged": not load.is_too_busy,
        }


def summarize(rounds: list[Round]) -> Figures:
    """Medians over one side's turns."""
    return {
        "rps": statistics.median(each.group["rps"] for each in rounds),
        "beside_rps": statistics.median(each.beside_rps for each in rounds),
        "p50_ms": statistics.median(each.group["p50_ms"] for each in rounds),
        "p99_ms": statistics.median(each.group["p99_ms"] for each in rounds),
        "answers": sum(each.group["count"] for each in rounds),
        "failed": sum(each.failed for each in rounds),
        "cpu": {
            part: statistics.median(each.cpu[part] for each in rounds) for part in rounds[0].cpu
        },
    }
