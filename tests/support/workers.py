"""A plugin of pytest for whole runs: its workers are forks of the process that collected the tests.

To import all tests takes seven seconds, which each worker of pytest-xdist would spend again. A fork
begins with all of it, and its memory is shared. Workers ask for the tests of a module at a time, so
that modules whose application differs from the usual one start it once.
"""

import atexit
import gc
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

import pytest

# What takes long, or mostly waits, begins first: what is short fills the end of the run.
FIRST = ("acceptance", "browser", "programs", "live", "oidc")
# Tests of a module that a worker is given at once, at most; those of a group are never parted.
MOST = 60
# Folders whose tests are given out like those of one module, and how many a worker is given at
# once: two workers start a browser for them.
TOGETHER = {"browser": 80}
# Searches for garbage in workers are rarer than Python's own (700, 10, 10): a test makes little.
GARBAGE = (20_000, 20, 50)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", type=int, default=0, help="the number of forks for the tests")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin to import the tests and what they need, among which is no garbage to look for."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Set aside all that was imported: no search for garbage looks at it, or copies it, again."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Literal[True] | None:
    """Run the tests by workers, if that many are asked for."""
    workers = session.config.option.workers
    if not workers or session.testsfailed or session.config.option.collectonly:
        return None
    Run(session).finish(workers)
    return True


def group_of(item: pytest.Item) -> str:
    """Return the group whose tests never run at the same time; empty if the test is in none."""
    mark = item.get_closest_marker("xdist_group")
    return str((*mark.args, *mark.kwargs.values())[0]) if mark else ""


def units_of(items: Sequence[pytest.Item]) -> deque[list[int]]:
    """Return the numbers of the tests that a worker does one after the other, longest first."""
    units: dict[tuple[str, int], list[int]] = {}
    for number, item in enumerate(items):
        most = TOGETHER.get(item.path.parent.name, 0)
        name = group_of(item) or str(item.path.parent if most else item.path)
        part = 0
        if not group_of(item):
            while len(units.get((name, part), ())) == (most or MOST):
                part += 1
        units.setdefault((name, part), []).append(number)

    def order(unit: list[int]) -> tuple[bool, int]:
        first = items[unit[0]]
        places = [FIRST.index(name) for name in first.path.parts if name in FIRST]
        return not group_of(first), min(places, default=len(FIRST))

    return deque(sorted(units.values(), key=order))


@dataclass
class Worker:
    """A fork, as the process that gives out the tests sees it.

    Attributes:
        pid: its process.
        news: the connection to it.
        now: the number of the test that it runs.
        later: the numbers of those that it was given, too.
        is_over: whether it has said that it ends.
    """

    pid: int
    news: Connection
    now: int | None = None
    later: list[int] = field(default_factory=list)
    is_over: bool = False


class Run:
    """Gives out the tests to workers and tells pytest of their results.

    Args:
        session: the session, whose tests are collected.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._units = units_of(session.items)
        self._left = set(range(len(session.items)))
        self._workers: dict[Connection, Worker] = {}
        self._started = 0
        # Their places for temporary files are within this one's.
        self._place = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.showfspath = False

    def finish(self, workers: int) -> None:
        """Run all tests; return once the last worker has ended."""
        if "support.preloaded" in sys.modules:
            # One process for all workers, which inherit the connection to it.
            sys.modules["support.preloaded"].preload()
        try:
            for _ in range(workers):
                self._start()
            while self._workers:
                for ready in wait(list(self._workers)):
                    assert isinstance(ready, Connection)
                    self._hear(self._workers[ready])
        finally:
            for worker in self._workers.values():
                os.kill(worker.pid, signal.SIGINT)
                os.waitpid(worker.pid, 0)
        self._stop_if_asked()

    def _start(self) -> None:
        ours, its = Pipe()
        name = f"worker-{self._started}"
        self._started += 1
        pid = os.fork()
        if pid == 0:
            for other in self._workers:
                other.close()
            ours.close()
            _work(self._session, its, str(self._place / name))
        its.close()
        self._workers[ours] = Worker(pid, ours)

    def _hear(self, worker: Worker) -> None:
        """Do what a worker asks for."""
        try:
            kind, content = worker.news.recv()
        except (EOFError, ConnectionError):
            self._end(worker)
            return
        config = self._session.config
        if kind == "ask":
            worker.later += (unit := self._next())
            worker.news.send(unit)
        elif kind == "begin":
            worker.now = content
            worker.later.remove(content)
        elif kind == "report":
            report = config.hook.pytest_report_from_serializable(config=config, data=content)
            config.hook.pytest_runtest_logreport(report=report)
        elif kind == "warning":
            config.hook.pytest_warning_recorded.call_historic(kwargs=content)
        elif kind == "end":
            item = self._session.items[content]
            worker.now = None
            self._left.discard(content)
            config.hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        elif kind == "over":
            worker.is_over = True

    def _next(self) -> list[int]:
        is_stopping = self._session.shouldstop or self._session.shouldfail
        return self._units.popleft() if self._units and not is_stopping else []

    def _end(self, worker: Worker) -> None:
        """Let another worker do what one has left that died."""
        del self._workers[worker.news]
        worker.news.close()
        _, status = os.waitpid(worker.pid, 0)
        if worker.is_over:
            return
        if worker.now is not None:
            item = self._session.items[worker.now]
            self._left.discard(worker.now)
            why = f"the worker ended with {os.waitstatus_to_exitcode(status)}"
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")
            self._session.config.hook.pytest_runtest_logreport(report=report)
        if worker.later:
            self._units.appendleft(worker.later)
        if worker.now is not None:
            self._start()

    def _stop_if_asked(self) -> None:
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)
        if self._left:
            raise self._session.Failed(f"{len(self._left)} tests were not run")


class Sender:
    """Sends to the process that gives out the tests what pytest says in a worker.

    Args:
        config: pytest's, in this process.
        news: the connection to it.
    """

    def __init__(self, config: pytest.Config, news: Connection) -> None:
        self._config = config
        self._news = news

    def tell(self, kind: str, content: object = None) -> None:
        """Send a message."""
        self._news.send((kind, content))

    def ask(self) -> list[int]:
        """Return the numbers of the next tests; none if there are no more."""
        self.tell("ask")
        unit: list[int] = self._news.recv()
        return unit

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a test's result."""
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self.tell("report", data)

    @pytest.hookimpl
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        """Send a warning, in words: its class may not be known elsewhere."""
        words = UserWarning(f"{warning_message.category.__name__}: {warning_message.message}")
        sent = warnings.WarningMessage(
            words, UserWarning, warning_message.filename, warning_message.lineno
        )
        content = {"warning_message": sent, "when": when, "nodeid": nodeid, "location": location}
        self.tell("warning", content)


def _work(session: pytest.Session, news: Connection, place: str) -> None:
    """Run tests in a fork until there are no more, and end the process."""
    status = 1
    try:
        sender = Sender(session.config, news)
        _become_worker(session.config, sender, place)
        try:
            for number, after in _given(sender):
                item = session.items[number]
                following = None if after is None else session.items[after]
                sender.tell("begin", number)
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                sender.tell("end", number)
        finally:
            # Nothing is left to do here after the last test, but after Ctrl-C.
            session._setupstate.teardown_exact(None)
        sender.tell("over")
        status = 0
    finally:
        # Pytest continues in the process that was forked, and this one must not.
        with warnings.catch_warnings(action="ignore"):
            atexit._run_exitfuncs()
        os._exit(status)


def _given(sender: Sender) -> Iterator[tuple[int, int | None]]:
    """Yield a test's number and that of the next: what a session of tests shares ends by it."""
    waiting = deque(sender.ask())
    while waiting:
        number = waiting.popleft()
        if not waiting:
            waiting += sender.ask()
        yield number, waiting[0] if waiting else None


def _become_worker(config: pytest.Config, sender: Sender, place: str) -> None:
    """Leave alone what belongs to the process that was forked."""
    plugins = config.pluginmanager
    if (capture := plugins.getplugin("capturemanager")) is not None:
        capture.stop_global_capturing()
        capture.start_global_capturing()
    if (reporter := plugins.getplugin("terminalreporter")) is not None:
        plugins.unregister(reporter)
    plugins.register(sender)
    factory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory._basetemp.parent / place
    factory._basetemp.mkdir(mode=0o700)
