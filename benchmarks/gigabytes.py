"""Upload a file of gigabytes in parts, import and export it, and kill the service meanwhile.

Run by `python benchmarks/gigabytes.py`; `--gigabytes N` makes another size than 2. The file is a
ChatGPT export with messages of 2 and 6 KB. The service is killed twice while it imports and twice
while it exports; each time it is started again on the same data, and goes on.
"""

import argparse
import asyncio
import gzip
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations

from exchange import MESSAGES, write_export
from processes import Server, start_service

PART = 64_000_000
PASSWORD = "correct horse"  # noqa: S105  # of a measurement
LENGTH = 10
GB = 1_000_000_000
KILLS = 2
PAUSE = 4.0
OPEN = frozenset({"queued", "waiting", "running"})


class Machine:
    """The service, which can be killed and started again on its data.

    Args:
        data_dir: its data.

    Attributes:
        peak_mb: the most memory that one of its processes had, mongod's not counted.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._service, _ = start_service(data_dir)
        self._account = {"username": "big", "password": PASSWORD}
        self.peak_mb = 0.0
        self.http: aiohttp.ClientSession

    async def sign_in(self, *, new: bool = False) -> None:
        """Open a session."""
        base = f"http://{self._service.host}:{self._service.port}"
        jar = aiohttp.CookieJar(unsafe=True)
        self.http = aiohttp.ClientSession(base, cookie_jar=jar, timeout=aiohttp.ClientTimeout(600))
        if new:
            body = self._account | {"email": "big@example.com"}
            await self.ask("POST", "/auth/register", json=body)
        await self.ask("POST", "/auth/login", json=self._account)

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return an answer's JSON, or its headers where it has none."""
        async with self.http.request(method, path, **options) as answer:
            answer.raise_for_status()
            is_json = answer.content_type == "application/json"
            return await answer.json() if is_json else answer.headers

    async def kill(self) -> None:
        """Kill the service's processes, but not mongod; start it again."""
        self.note_memory()
        await self.http.close()
        for process in family(self._service):
            process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._service.stop)
        self._service, seconds = await asyncio.to_thread(start_service, self._data_dir)
        print(f"  killed; it answered again after {seconds:.1f} s", flush=True)
        await self.sign_in()

    def note_memory(self) -> None:
        """Note the most memory that a process of the service has had."""
        self.peak_mb = max(self.peak_mb, *(peak_mb(each) for each in family(self._service)))

    async def stop(self) -> None:
        """Stop it."""
        self.note_memory()
        await self.http.close()
        await asyncio.to_thread(self._service.stop)


def family(service: Server) -> list[psutil.Process]:
    """Return the service's processes without mongod."""
    me = psutil.Process(service.pid)
    return [each for each in (me, *me.children(recursive=True)) if each.name() != "mongod"]


def peak_mb(process: psutil.Process) -> float:
    """Return the most memory that a process has had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return float(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024 / 1e6


async def upload(machine: Machine, path: Path, size: int) -> str:
    """Upload a file in parts; return the upload's id."""
    headers = {"Upload-Length": str(size), "Tus-Resumable": "1.0.0"}
    upload_id: str = (await machine.ask("POST", "/imports/uploads", headers=headers))["id"]
    where = f"/imports/uploads/{upload_id}"
    with path.open("rb") as file:
        offset = 0
        while offset < size:
            file.seek(offset)
            part = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            told = await machine.ask("PATCH", where, data=file.read(PART), headers=headers | part)
            offset = int(told["Upload-Offset"])
    return upload_id


async def follow(machine: Machine, path: str, is_due: Callable[[Any, int, float], bool]) -> Any:
    """Wait for the end of a job, and kill the service on the way; return the job.

    Args:
        machine: the service.
        path: the job's.
        is_due: whether to kill it, by the job, the kills so far and the seconds since the last.

    Raises:
        RuntimeError: the job ended before it was killed as often as it should be.
    """
    killed, began = 0, time.perf_counter()
    while (job := await machine.ask("GET", path))["state"] in OPEN:
        if killed < KILLS and is_due(job, killed, time.perf_counter() - began):
            print(f"  {job['state']}, {job['done']:,} done", flush=True)
            await machine.kill()
            killed, began = killed + 1, time.perf_counter()
        await asyncio.sleep(0.1)
    if killed < KILLS:
        raise RuntimeError(f"{path} ended after {killed} kills")
    return job


def at_parts(total: int) -> Callable[[Any, int, float], bool]:
    """Return the condition that the next part of the work is done."""
    return lambda job, killed, _: bool(job["done"] >= total * (killed + 1) // (KILLS + 1))


def at_seconds(job: Any, _killed: int, seconds: float) -> bool:
    """Tell whether a job has run for some seconds; exports say seldom how far they are."""
    return job["state"] == "running" and seconds >= PAUSE


async def timed(name: str, size: int, work: Awaitable[Any]) -> Any:
    """Print how long something took."""
    began = time.perf_counter()
    result = await work
    seconds = time.perf_counter() - began
    print(f"{name}: {seconds:.0f} s, {size / 1e6 / seconds:.1f} MB/s", flush=True)
    return result


async def measure(folder: Path, gigabytes: float) -> None:
    """Print the figures."""
    source = folder / "conversations.json"
    sample = folder / "sample.json"
    write_export(sample, 4, LENGTH)
    count = int(gigabytes * GB / (sample.stat().st_size / 4))
    write_export(source, count, LENGTH)
    size = source.stat().st_size
    print(f"{size / GB:.2f} GB, {count:,} conversations, {count * MESSAGES:,} messages", flush=True)
    machine = Machine(folder / "data")
    try:
        await machine.sign_in(new=True)
        upload_id = await timed("upload", size, upload(machine, source, size))
        source.unlink()
        job = await machine.ask("POST", "/imports", params={"upload_id": upload_id})
        path = f"/imports/{job['id']}"
        job = await timed("import", size, follow(machine, path, at_parts(count)))
        told = {name: value for name, value in job["report"].items() if value and name != "formats"}
        print(f"  {job['state']}: {told}", flush=True)
        machine.note_memory()
        print(f"  peak memory of the service: {machine.peak_mb:.0f} MB", flush=True)
        job = await machine.ask("POST", "/exports", json={"format": "ndjson"})
        path = f"/exports/{job['id']}"
        job = await timed("export", size, follow(machine, path, at_seconds))
        lines = await count_lines(machine, path, len(job["parts"]))
        print(
            f"  {job['state']}: {len(job['parts'])} parts with {lines:,} conversations", flush=True
        )
    finally:
        await machine.stop()
    print(f"peak memory of the service: {machine.peak_mb:.0f} MB")


async def count_lines(machine: Machine, path: str, parts: int) -> int:
    """Return how many conversations the parts of an export have: a line each, and two others."""
    lines = 0
    for number in range(1, parts + 1):
        async with machine.http.get(f"{path}/parts/{number}") as answer:
            answer.raise_for_status()
            lines += gzip.decompress(await answer.read()).count(b"\n") - 2
    return lines


def main() -> None:
    """Measure in a folder that is removed after."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name), options.gigabytes))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"load of the machine at the end: {load}")


if __name__ == "__main__":
    main()
