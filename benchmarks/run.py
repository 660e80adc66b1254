"""Measures chatvault against its yardsticks, in one run: `scripts/benchmark --help`."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import Bench, Row
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.version import VERSION
from dataset import Yardsticks, begin, sign_up
from flush import flush_ms, slow_mongod
from neighbours import look
from processes import HERE, Server, find_mongod, start_service
from report import load_before, machine, results_of, save, show
from scenarios import SCENARIOS

DATABASE = "chatvault"
CONVERSATIONS = 2_000


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Measure chatvault against its yardsticks.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("--long", action="store_true", help="a conversation of 100,000 messages")
    parser.add_argument(
        "--flush-ms", type=float, help="let mongod's flushes take so long, as on a slower disk"
    )
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", default=None)
    parser.add_argument("--json", type=Path, help="where to write; a whole run: results/VERSION")
    parser.add_argument("--hold", action="store_true", help="wait at the end, for a profiler")
    return parser.parse_args()


@contextmanager
def stage(options: argparse.Namespace) -> Iterator[tuple[Bench, dict[str, Any]]]:
    """The servers and the data, for as long as they are needed; and what starting them took."""
    with ExitStack() as stack:
        wanted_ms = options.flush_ms
        measured = stack.enter_context(slow_mongod(wanted_ms)) if wanted_ms else flush_ms()
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        data_dir = Path(folder, "data")
        service, first_start = start_service(data_dir)
        service.stop()
        service, second_start = start_service(data_dir)
        stack.callback(service.stop)
        url = stack.enter_context(embedded_mongodb(data_dir))
        mongod = find_mongod(data_dir)
        time.sleep(1)
        facts = {
            "seconds to the first answer": {"first start": first_start, "second": second_start},
            "idle MB": {"service": service.rss_mb(), "mongod": mongod.memory_info().rss / 1e6},
        }
        ceiling = Server(str(HERE / "ceiling.py"), url, DATABASE)
        stack.callback(ceiling.stop)
        yardsticks = Yardsticks(url, DATABASE)
        count = CONVERSATIONS // 4 if options.quick else CONVERSATIONS
        writer = asyncio.run(sign_up(service, "writer"))
        asyncio.run(begin(service, writer, count, 10))
        yield (
            Bench(
                service=service,
                ceiling=ceiling,
                mongod=mongod,
                data_dir=data_dir,
                yardsticks=yardsticks,
                writer=writer,
                floor_writer=yardsticks.imitate(service, writer, count),
                bound_writer=yardsticks.imitate(service, writer, count),
                ceiling_writer=yardsticks.imitate(service, writer, count),
                seconds=1.0 if options.quick else 2.0,
                warmup=0.5,
                rounds=3 if options.quick else 5,
                long=options.long,
                flush_ms=measured,
            ),
            facts,
        )


def main() -> None:
    """Measure, print, keep."""
    options = parse()
    before = load_before(VERSION, options.flush_ms)
    if (load := look(1.0)).is_too_busy:
        print(
            f"the machine is busy: other programs keep {load.others:.1f} cores; "
            "what is measured now may not be judged",
            flush=True,
        )
    rows: list[Row] = []
    with stage(options) as (bench, facts):
        for name in options.only or SCENARIOS:
            for row in SCENARIOS[name](bench):
                rows.append(row)
                print(f"measured: {row['name']}, {row['connections']}", flush=True)
        facts["MB under load"] = bench.rss_mb
        facts["generator's cores at most"] = bench.max_generator
        described = machine(bench)
        if options.hold:
            input(f"service {bench.service.pid}; Enter ends it")
    show(rows, {**facts, **described}, before)
    is_whole = not (options.quick or options.only)
    is_judged = all(row["is_judged"] for row in rows)
    path = options.json or (results_of(VERSION, options.flush_ms) if is_whole else None)
    if path and not options.json and not is_judged:
        print(f"not kept in {path}, as the machine was too busy; --json FILE keeps it elsewhere")
    elif path:
        save(
            path,
            {"version": VERSION, "machine": described, "facts": facts, "rows": rows},
        )
        print(f"kept in {path}")


if __name__ == "__main__":
    main()
