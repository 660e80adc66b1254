"""The small process that owns an embedded mongod; standard library only, so that it stays small.

It runs as long as any process holds a shared lock on the data directory. The kernel drops that lock
however its holder died, so the keeper stops mongod even after a ``kill -9`` of its last user.
On a full disk it loses lines of its log, and nothing else.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chatvault.mongodb import machine
from chatvault.mongodb.mongod_log import MongodLog

if sys.platform != "win32":  # there the command line imports this, and says what to do instead
    import fcntl

USERS_LOCK = "mongodb.users.lock"
MONGOD_LOG = "mongod.log"
DATA = "mongodb"
_PID = "mongodb.pid"

_POLL = 0.1  # seconds between two looks at the users' lock
_STOP = (
    60.0  # seconds for a clean stop, then mongod is killed; its journal has the acknowledged writes
)
_QUICK = 3.0  # seconds; a mongod that ends sooner counts as failed to start
_TRIES = 5
_PR_SET_PDEATHSIG = 1


def try_lock(file: int, *, alone: bool) -> bool:
    """Take a flock if it is free now.

    Args:
        file: the descriptor to lock.
        alone: let no one else hold it, rather than share it.

    Returns:
        Whether the lock is held now.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_lock(path: Path) -> int:
    """Open a lock file, creating it if need be; only its owner may open it.

    Args:
        path: where the file is.

    Returns:
        Its descriptor; closing it releases the lock.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Keeper:
    """Starts mongod, restarts it when it ends, and stops it when nobody uses the data."""

    def __init__(self, data_dir: Path, command: list[str]) -> None:
        self.data_dir = data_dir
        self.command = command
        self.log = MongodLog(data_dir / MONGOD_LOG)
        self.users = open_lock(data_dir / USERS_LOCK)
        self.told_to_stop = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.told_to_stop = True

    def _must_stop(self) -> bool:
        """Whether to stop; from then on the lock keeps new users out until this process ends."""
        return self.told_to_stop or try_lock(self.users, alone=True)

    def run(self) -> int:
        """Keep mongod running until the last user is gone.

        Returns:
            An exit status: 0, or 1 after giving up, with the reason on the log's last line.

        Raises:
            OSError: the data directory is gone, or closed to this user.
        """
        failures = 0
        while self._wait_for_data() and self._wait_for_room():
            began = time.monotonic()
            pid = self._spawn()
            status = self._watch(pid)
            if status is None:
                break
            failures = failures + 1 if time.monotonic() - began < _QUICK else 0
            ended = f"mongod {pid} ended with {_describe(status)}"
            if failures == _TRIES:
                reason = self.log.first_error or "it logged no error"
                say(f"gave up after {_TRIES} quick ends: {ended}: {reason}")
                return 1
            pause = 0.1 * 2**failures
            say(f"{ended}; restarting it in {pause:.1f} s")
            time.sleep(pause)
        return 0

    def _wait_for_room(self) -> bool:
        """Wait until the disk has room for mongod, which would fail without; False to end."""
        told = False
        while reason := machine.why_no_room(self.data_dir):
            if self._must_stop():
                return False
            if not told:
                say(f"waiting to start mongod: {reason}")
                told = True
            time.sleep(_POLL)
        if told:
            say("there is room again on the disk, which was full")
        return True

    def _wait_for_data(self) -> bool:
        """Wait until no other mongod has the data, stopping an earlier keeper's; False to end."""
        folder = self.data_dir / DATA
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = open_lock(folder / "mongod.lock")
        try:
            asked = False
            while not try_lock(lock, alone=True):
                if self._must_stop():
                    return False
                if not asked and (pid := self._orphan_pid(folder)):
                    say(f"stopping mongod {pid}, which an earlier keeper left behind")
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                    asked = True
                time.sleep(_POLL)
        finally:
            os.close(lock)
        return not self._must_stop()

    def _orphan_pid(self, folder: Path) -> int:
        """Return the pid of the mongod that has the data, if an earlier keeper started it, or 0."""
        try:
            ours = int((self.data_dir / _PID).read_text())
            return ours if ours == int((folder / "mongod.lock").read_text()) else 0
        except (OSError, ValueError):
            return 0

    def _spawn(self) -> int:
        output = self.log.open_pipe()
        # A plain fork is safe here: this process has one thread, so no lock is left held.
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _exec_mongod(self.command, parent, output)
        os.close(output)
        with suppress(OSError):  # for a keeper that finds this mongod without its own
            (self.data_dir / _PID).write_text(str(pid))
        return pid

    def _watch(self, pid: int) -> int | None:
        """Wait until mongod ends (its wait status), or is no longer used and stopped (None)."""
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.log.close()
                return None if self._must_stop() else status
            if self._must_stop():
                _stop(pid, self.log.wait)
                self.log.close()
                return None
            self.log.wait(_POLL)


def _exec_mongod(
    command: list[str], parent: int, output: int
) -> None:  # pragma: no cover - a fork's
    """Run mongod in a forked child; the kernel stops it should its parent end."""
    try:
        os.dup2(output, 1)
        if sys.platform == "linux":
            import ctypes  # noqa: PLC0415 - only Linux has prctl

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            # Signals that Python ignores would stay ignored in mongod.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        say(f"cannot run {command[0]}: {error}")
    finally:
        os._exit(127)


def _stop(pid: int, wait: Callable[[float], None]) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            say(f"mongod {pid} did not stop within {_STOP:.0f} s; killing it")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        wait(0.01)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def say(text: str) -> None:
    """Write one line, with the time, to the keeper's log (its standard error).

    Args:
        text: the line, without a line break.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with suppress(OSError):  # on a full disk this line is lost
        sys.stderr.write(f"{moment} {text}\n")
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Detach from the starting process, then keep mongod running.

    Args:
        arguments: the data directory; the descriptors of the locks to hold until the end, separated
            by commas; the socket's directory, removed at the end; mongod's command.

    Returns:
        The exit status.
    """
    data_dir, locks, socket_dir, *command = arguments
    for lock in locks.split(","):
        os.set_inheritable(int(lock), False)  # noqa: FBT003 - it has no keyword
    if os.fork():  # pragma: no branch
        os._exit(0)  # pragma: no cover - ends before anything can be recorded
    os.chdir("/")
    machine.allow_open_files()
    try:
        return Keeper(Path(data_dir), command).run()
    except OSError as error:
        say(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 1
    finally:
        folder = Path(socket_dir)
        for left in folder.glob("*"):
            left.unlink(missing_ok=True)
        folder.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
