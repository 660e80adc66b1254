"""The figures as a table for people and as JSON for the next release to be compared with."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]  # it carries no annotations
from rich.console import Console
from rich.table import Table

from bench import SATURATED, Bench, Row, Target
from dataset import CONTENT_BYTES, READERS, SHORT, WHOLE

RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("aiohttp", "pymongo", "uvloop", "orjson")


def machine(bench: Bench) -> dict[str, Any]:
    """Return the facts that the figures depend on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mongod": bench.yardsticks.version(),
        "flush_ms": round(bench.flush_ms, 3),
        "libraries": {name: version(name) for name in LIBRARIES},
        "write_concern": "majority, journaled; one-node replica set on a unix socket",
        "data": f"messages of {CONTENT_BYTES} bytes; {len(bench.writer.ids)} conversations of "
        f"about 10 for appends; {READERS} readers, each with {WHOLE} conversations of 200 "
        f"messages and {SHORT} of 10, for get, page and list",
        "turns": f"{bench.rounds} of {bench.seconds} s a side, interleaved; medians",
        "client": "one process, HTTP/1.1 keep-alive, one request at a time a connection",
    }


def show_row(table: Table, row: Row) -> None:
    """Add one line a side: the first with its ratios and targets."""
    first, *others = row["sides"]
    for side in (first, *others):
        figures = row["sides"][side]
        is_first = side == first
        ratio = "" if is_first else f"{row['ratios'][side]:.2f}"
        targets = [target for target in row["targets"] if target["against"] == side]
        hoped = "".join(f"{each['bound']} {_verdict(row, each)}" for each in targets)
        busy = " ".join(f"{name[0]}{cores:.1f}" for name, cores in figures["cpu"].items())
        beside = f" + {figures['beside_rps']:,.0f}" if figures["beside_rps"] >= 1 else ""
        if figures["cpu"]["generator"] > SATURATED and "server" in figures["cpu"]:
            busy += " !"
        table.add_row(
            row["name"] if is_first else "",
            str(row["connections"]) if is_first else "",
            side,
            f"{figures['rps']:,.0f}{beside}",
            f"{figures['p50_ms']:.2f}",
            f"{figures['p99_ms']:.2f}",
            ratio,
            hoped,
            str(figures["failed"] or ""),
            busy,
        )


def _verdict(row: Row, target: Target) -> str:
    if not row["is_judged"]:
        return "?"
    return "ok" if target["met"] else "MISSED"


def show(rows: Sequence[Row], facts: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Print the table, and what was lost or won since the figures before."""
    table = Table(box=None, pad_edge=False)
    for name in ("what", "conn.", "side", "req/s", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name in {"what", "side"} else "right")
    for name in ("ratio", "target", "failed", "cores g/m/s"):
        table.add_column(name)
    for row in rows:
        show_row(table, row)
    console = Console(width=140, highlight=False)
    console.print(table)
    console.print(
        "ratio: the first side's rate to this one's (by length: this one's median time to the"
        " first's)\ncores: those kept busy by generator or loop, mongod, server;"
        f" ! = the generator above {SATURATED}\n"
        "floor: the driver alone, a call each, one loop a connection; one by one: in one loop\n"
        "coalesced: the driver alone, many in a transaction with their entries: none exceeds that"
    )
    lines = [f"{name}: {as_text(value)}" for name, value in facts.items()]
    for line in (*lines, *changes(rows, before), *unjudged(rows)):
        console.print(line, markup=False)


def as_text(value: object) -> str:
    """Return a figure, or several by name, for people."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {as_text(each)}" for name, each in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def unjudged(rows: Sequence[Row]) -> list[str]:
    """Return a warning if the machine was too busy."""
    others = [row["others"] for row in rows if not row["is_judged"]]
    if not others:
        return []
    said = (
        f"?: too busy to judge. During {len(others)} of {len(rows)} rows, other programs kept up to"
        f" {max(others):.1f} of {psutil.cpu_count()} cores busy; run it again when they are done."
    )
    return [said]


def changes(rows: Sequence[Row], before: dict[str, Any] | None) -> list[str]:
    """Return the ratios that changed by a tenth or more since the figures before."""
    if before is None:
        return []
    known = {(row["name"], row["connections"]): row["ratios"] for row in before["rows"]}
    judged = [row for row in rows if row["is_judged"]]
    return [
        f"since {before['version']}: {row['name']} at {row['connections']}, against {side}:"
        f" {old:.2f} -> {ratio:.2f}"
        for row in judged
        for side, ratio in row["ratios"].items()
        if (old := known.get((row["name"], row["connections"]), {}).get(side))
        and abs(ratio / old - 1) >= 0.1
    ]


def results_of(release: str, wanted_ms: float | None) -> Path:
    """Return where a release's figures are kept: those of slowed flushes apart."""
    return RESULTS / f"{release}{_condition(wanted_ms)}.json"


def _condition(wanted_ms: float | None) -> str:
    return "" if wanted_ms is None else f"-flush-{wanted_ms:g}ms"


def load_before(release: str, wanted_ms: float | None) -> dict[str, Any] | None:
    """The newest kept figures of the same condition: of this release, else of the one before."""
    own = results_of(release, wanted_ms)
    alike = [path for path in RESULTS.glob("*.json") if ("-flush-" in path.name) == bool(wanted_ms)]
    kept = sorted(alike, key=lambda path: path.stat().st_mtime)
    path = own if own.exists() else (kept[-1] if kept else None)
    if path is None:
        return None
    figures: dict[str, Any] = orjson.loads(path.read_bytes())
    return figures


def save(path: Path, figures: dict[str, Any]) -> None:
    """Keep the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(_rounded(figures), option=orjson.OPT_INDENT_2) + b"\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return value
