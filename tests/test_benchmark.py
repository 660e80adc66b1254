"""The benchmark judges nothing that other programs disturbed, and prints no Python."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FIGURES = {
    "rps": 100.0,
    "beside_rps": 0.0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "answers": 10,
    "failed": 0,
    "cpu": {"generator": 0.1},
}


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def busy() -> Iterator[None]:
    """Somebody else's programs, one for each core."""
    spin = [sys.executable, "-Sc", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(psutil.cpu_count())]
    yield
    for each in others:
        each.kill()
        each.wait()


def row(*, met: bool, others: float = 0.0) -> Any:
    return {
        "name": "append",
        "connections": 1,
        "sides": {"service": FIGURES, "floor": FIGURES},
        "ratios": {"floor": 1.0},
        "targets": [{"against": "floor", "bound": ">= 1.5", "met": met}],
        "others": others,
        "is_judged": others == 0.0,
    }


class TestLoad:
    @pytest.mark.parametrize(
        ("others", "idle", "is_too_busy"),
        [(0.0, 0.0, False), (1.0, 0.1, True), (1.0, 3.0, False), (0.1, 0.1, False)],
    )
    def test_counts_if_the_benchmark_had_to_wait(
        self, others: float, idle: float, *, is_too_busy: bool
    ) -> None:
        from neighbours import Load  # noqa: PLC0415  # found by the fixture's path

        assert Load(others, idle).is_too_busy is is_too_busy

    def test_is_detected(self, busy: None) -> None:
        from neighbours import look  # noqa: PLC0415  # the same

        assert look(0.5).is_too_busy

    def test_does_not_include_the_benchmarks_own(self) -> None:
        from neighbours import Watch  # noqa: PLC0415  # the same

        watch, until = Watch(lambda: 0.0), time.process_time() + 0.3
        while time.process_time() < until:
            pass
        load = watch.load()

        assert load.others + load.idle < psutil.cpu_count() - 0.01


class TestReport:
    @pytest.fixture
    def shown(self, capsys: pytest.CaptureFixture[str]) -> Any:
        from report import show  # noqa: PLC0415  # the same

        def shown(*rows: Any, **facts: Any) -> str:
            show(rows, facts, {"version": "0", "rows": [row(met=True) | {"ratios": {"floor": 9}}]})
            return capsys.readouterr().out

        return shown

    def test_lists_missed_targets_on_a_quiet_machine(self, shown: Any) -> None:
        said = shown(row(met=False))
        assert ">= 1.5 MISSED" in said
        assert "since 0: append at 1, against floor: 9.00 -> 1.00" in said
        assert "too busy" not in said

    def test_judges_nothing_under_other_load(self, shown: Any) -> None:
        said = shown(row(met=False, others=1.8), row(met=True, others=0.6))
        assert "MISSED" not in said
        assert said.count(">= 1.5 ?") == 2
        assert "since 0" not in said
        last = said.splitlines()[-1]
        assert last.startswith("?: too busy to judge. During 2 of 2 rows, other programs kept up")
        assert f"1.8 of {psutil.cpu_count()} cores" in last

    def test_is_readable_by_people(self, shown: Any) -> None:
        said = shown(
            row(met=True), **{"idle MB": {"service": 88.9012, "mongod": 134.2}, "cores": 2}
        )
        assert "idle MB: service 88.9, mongod 134\n" in said
        assert "cores: 2\n" in said
        assert "{" not in said
