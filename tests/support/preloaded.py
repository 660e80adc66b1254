"""Starts the service and its commands in forks of one process that has imported them already.

To import them takes a second of a processor, and the tests start a hundred processes. A fork is a
process of its own: it has its own environment, arguments and files, is killed, and ends like any
other. Where there is no `pidfd_open`, processes are started in the usual way.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

MODULES = ("chatvault.app", "chatvault.cli.main", "chatvault.server.http", "uvloop")
MOST = 2**18  # bytes of an order
# Benchmarks measure a process from its beginning.
CAN_FORK = hasattr(os, "pidfd_open") and "pytest" in sys.modules


class Forked:
    """A running fork, as `subprocess.Popen` describes a process.

    Args:
        command: the arguments after the interpreter: `-m` and a module, or a file.
        env: the whole environment.
        stdout: the file of its output.
        stderr: the file of its errors.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], stdout: int, stderr: int
    ) -> None:
        self.args = list(command)
        self.returncode: int | None = None
        order = json.dumps(
            {"command": self.args, "env": dict(env), "cwd": str(Path.cwd())}
        ).encode()
        assert len(order) < MOST
        self._news, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with told:
            socket.send_fds(preload(), [order], [stdout, stderr, told.fileno()])
        self.pid = int(self._news.recv(100))

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status.

        Raises:
            TimeoutExpired: it has not ended in time.
        """
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._news], [], [], timeout)[0]:
            self.returncode = int(self._news.recv(100))
            self._news.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)


Process = Forked | subprocess.Popen[bytes]


def start(command: Sequence[str], env: Mapping[str, str], stdout: int, stderr: int) -> Process:
    """Start a command: as a fork if it is this Python with `-m` and a module, or with a file."""
    program, *arguments = command
    if CAN_FORK and program == sys.executable:
        return Forked(arguments, env, stdout, stderr)
    return subprocess.Popen(command, env=env, stdout=stdout, stderr=stderr)


@cache
def preload() -> socket.socket:
    """Start the process that forks, and return the connection to it; it ends with this process.

    Forks of this process may use the connection as well: an order carries what answers it.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    support = Path(__file__).parent
    path = os.pathsep.join([str(support.parents[1] / "src"), str(support.parent)])
    with its:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=its.fileno(),
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def main() -> None:
    """Fork for each order that comes; the forks leave this function to do theirs."""
    for name in MODULES:
        with contextlib.suppress(ImportError):  # uvloop is not everywhere
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Ctrl-C at a terminal is for the tests; what they start hears it in the usual way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = socket.socket(fileno=os.dup(0))
    _put(os.open(os.devnull, os.O_RDONLY), 0)
    order = _serve(orders)
    if order is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    first, *others = order["command"]
    if first == "-m":
        name, *arguments = others
        sys.argv = [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


def _put(file: int, number: int) -> None:
    """Let the file have this number."""
    os.dup2(file, number)
    os.close(file)


def _serve(orders: socket.socket) -> Any:
    """Return an order in the fork that has to do it, and None once no more can come."""
    running: dict[int, tuple[int, socket.socket]] = {}
    with orders:
        while True:
            for ready in select.select([orders.fileno(), *running], [], [])[0]:
                if ready in running:
                    pid, told = running.pop(ready)
                    with told:
                        told.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                    os.close(ready)
                    continue
                order, files, _, _ = socket.recv_fds(orders, MOST, 3)
                if not order:
                    return None
                if (pid := os.fork()) == 0:
                    for number, (_, other) in running.items():
                        os.close(number)
                        other.close()
                    os.close(files[2])
                    _put(files[0], 1)
                    _put(files[1], 2)
                    return json.loads(order)
                told = socket.socket(fileno=files[2])
                told.send(b"%d" % pid)
                running[os.pidfd_open(pid)] = pid, told
                os.close(files[0])
                os.close(files[1])
