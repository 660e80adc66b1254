"""The measured and the measuring processes: started, watched, ended."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]  # it carries no annotations

from chatvault.mongodb.embedded import embedded_mongodb
from measure import Result

HERE = Path(__file__).resolve().parent
ADDRESS = re.compile(r"answers at http://([\w.]+):(\d+)")
STOP_SECONDS = 60.0
SERVE = ("-m", "chatvault", "serve")
NULL_AUDIT = (str(HERE / "nullaudit.py"),)


class Server:
    """A server process, from its start until `stop`.

    Args:
        arguments: Python's.
        env: beside the usual variables.

    Attributes:
        host: where it listens.
        port: where it listens.
        pid: of the process that was started.
    """

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own programs
            [sys.executable, *arguments],
            env={**clean_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout
        for line in self._process.stdout:
            if match := ADDRESS.search(line):
                self.host, self.port = match[1], int(match[2])
                return
        raise RuntimeError(f"{arguments} ended with status {self._process.wait()}")

    def fetch(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of an answer."""
        with self._get(path, headers) as answer:
            body: bytes = answer.read()
        return body

    def fetch_etag(self, path: str, headers: Mapping[str, str]) -> str:
        """Return the ETag of an answer."""
        with self._get(path, headers) as answer:
            return str(answer.headers["ETag"])

    def _get(self, path: str, headers: Mapping[str, str] | None) -> Any:
        url = f"http://{self.host}:{self.port}{path}"
        request = urllib.request.Request(url, headers=dict(headers or {}))  # http
        return urllib.request.urlopen(request, timeout=30)  # noqa: S310  # http

    def rss_mb(self) -> float:
        """Memory of its largest process, in MB."""
        return float(max(process.memory_info().rss for process in self._family())) / 1e6

    def cpu_seconds(self) -> float:
        """Processor time of all its processes."""
        return sum(cpu_seconds(process) for process in self._family())

    def _family(self) -> list[psutil.Process]:
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def stop(self) -> None:
        """End it as a person would; kill it if it stays."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of somebody's own chatvault."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHATVAULT_")}


def settings(data_dir: Path, url: str | None = None) -> dict[str, str]:
    """The service's settings: a free port, and the embedded MongoDB or the one behind the URL."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = {
        "CHATVAULT_DATA_DIR": str(data_dir),
        "CHATVAULT_PORT": "0",
        "CHATVAULT_LOG_LEVEL": "warning",
        "CHATVAULT_BCRYPT_ROUNDS": "4",  # sign-ins are not measured
    }
    return given if url is None else {**given, "CHATVAULT_MONGODB_URL": url}


def start_service(data_dir: Path, env: Mapping[str, str] | None = None) -> tuple[Server, float]:
    """Return the service on its embedded MongoDB, and the seconds until its first answer."""
    began = time.monotonic()
    service = Server(*SERVE, env={**settings(data_dir), **(env or {})})
    service.fetch("/health")
    return service, time.monotonic() - began


@contextmanager
def own_service(env: Mapping[str, str] | None = None) -> Iterator[tuple[Path, Server, str]]:
    """Yield a data directory, the service on it, and the URL of its embedded MongoDB."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder, "data")
        service, _ = start_service(data_dir, env)
        try:
            with embedded_mongodb(data_dir) as url:
                yield data_dir, service, url
        finally:
            service.stop()


def can_have_workers() -> bool:
    """Whether `chatvault serve` knows `--workers`."""
    shown = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, *SERVE, "--help"], capture_output=True, text=True, check=True
    )
    return "--workers" in shown.stdout


def find_mongod(data_dir: Path) -> psutil.Process:
    """Return the mongod that runs on this data."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(data_dir / "mongodb") in process.cmdline() and process.name() == "mongod":
                return process
    raise RuntimeError("no mongod runs on the benchmark's data")


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(script: str, job: dict[str, Any]) -> Result:
    """Let the load generator or the driver's loop do a job, in its own process."""
    done = subprocess.run(  # noqa: S603  # our own programs
        [sys.executable, str(HERE / script)],
        input=orjson.dumps(job),
        stdout=subprocess.PIPE,
        check=True,
    )
    result: Result = orjson.loads(done.stdout)
    return result
