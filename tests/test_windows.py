"""What there is not on Windows is asked for by nobody; there is no Windows in the tests."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from chatvault.server import http as server
from support.commanding import Command

IMPORT_ALL = """
import importlib, os, pkgutil, signal, socket, sys
import chatvault

def import_all():
    for module in pkgutil.walk_packages(chatvault.__path__, "chatvault."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

import_all()  # so that other people's packages, which know Windows themselves, are loaded
for name in [name for name in sys.modules if name.startswith("chatvault.")]:
    del sys.modules[name]
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "uvloop"):
    sys.modules[name] = None
for module, names in {
    os: ("fork", "getuid", "geteuid", "statvfs", "pread", "pwrite", "O_CLOEXEC", "WNOHANG"),
    signal: ("SIGKILL", "SIGPIPE", "SIGUSR1", "SIGHUP"),
    socket: ("AF_UNIX",),
}.items():
    for name in names:
        delattr(module, name)
sys.platform = "win32"
import_all()

from chatvault.server import http as server
from chatvault.cli.importing import _peak_megabytes
assert server.loop_factory() is None
assert _peak_megabytes() is None
"""


class LoopOfWindows(asyncio.SelectorEventLoop):
    def add_signal_handler(self, *_arguments: object) -> None:
        raise NotImplementedError


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class TestWindows:
    def test_imports_all_modules(self) -> None:
        run = subprocess.run(
            [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_stops_the_service_on_signals_that_the_loop_does_not_support(
        self, handlers: None, number: signal.Signals
    ) -> None:
        async def serve() -> None:
            stopping = asyncio.Event()
            server.call_on_signals(stopping.set)
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stopping.wait(), 60)

        with asyncio.Runner(loop_factory=LoopOfWindows) as runner:
            runner.run(serve())

    def test_refuses_several_workers_in_one_line(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        refused = command("serve", "--workers", "2")
        assert (refused.status, refused.line) == (
            2,
            "chatvault: --workers needs Linux or macOS; leave it out.",
        )
