"""`chatvault serve` as a real process: started, watched and killed from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import psutil  # type: ignore[import-untyped]  # it carries no annotations
from aiohttp import CookieJar
from yarl import URL

from support.fake_model import FakeModel
from support.preloaded import start

PASSWORD = "correct horse"
ROOT = Path(__file__).parent.parent.parent
TOOLSERVER = Path(__file__).parent / "toolserver.py"
WAIT = 120.0
# The caller's environment, which the processes that tests start must not see.
OTHERS = ("CHATVAULT_", "OPENAI_", "ANTHROPIC_", "TESTS_", "PYTHONPATH")


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """Return the environment for a process of ours, without the caller's settings."""
    inherited = {name: each for name, each in os.environ.items() if not name.startswith(OTHERS)}
    chosen = {"data_dir": data_dir, "port": 0, "bcrypt_rounds": 4} | settings
    # Faults are tried on a copy of the checkout, which is not the installed one.
    inherited["PYTHONPATH"] = str(ROOT / "src")
    return inherited | {f"CHATVAULT_{name.upper()}": str(value) for name, value in chosen.items()}


def chatvault(
    data_dir: Path, *arguments: str, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return call([sys.executable, "-m", "chatvault", *arguments], data_dir, **settings)


def seconds_of_a_command(data_dir: Path) -> float:
    """Return how long a program that does nothing takes on this machine now, as a yardstick."""
    began = time.monotonic()
    # Not a fork, which has imported the package already.
    subprocess.run(
        [sys.executable, "-m", "chatvault", "--help"],
        env=environment(data_dir),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def script(
    name: str, data_dir: Path, *arguments: str, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run one of `scripts/` to its end."""
    return call([sys.executable, str(ROOT / "scripts" / name), *arguments], data_dir, **settings)


def call(
    command: list[str], data_dir: Path, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run any command to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = start(command, environment(data_dir, **settings), out.fileno(), errors.fileno())
        status = process.wait(WAIT)
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, status, out.read(), errors.read())


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return every keeper and mongod of the data, and every service on it."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and any(
                part == str(data_dir) or part.startswith(f"{data_dir}/") for part in line
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def mongod_of(data_dir: Path) -> psutil.Process:
    """Return the running mongod."""
    return psutil.Process(int((data_dir / "mongodb.pid").read_text()))


class Service:
    """A `chatvault serve` on a data directory, which can be restarted.

    Args:
        data_dir: the test's own data directory.
        arguments: of `serve`.
        settings: by name, as text.
    """

    def __init__(self, data_dir: Path, *arguments: str, **settings: object) -> None:
        self.command = [sys.executable, "-m", "chatvault", "serve", *arguments]
        self.data_dir = data_dir
        self.settings = settings
        self.banner = ""
        self.url = ""
        self.log = data_dir.with_suffix(".log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._close()

    def _close(self) -> None:
        self._output.close()

    def start(self) -> None:
        """Start, and wait until it prints its address."""
        output, into = os.pipe()
        self._output = os.fdopen(output)
        with self.log.open("ab") as log, os.fdopen(into):
            self.process = start(
                self.command, environment(self.data_dir, **self.settings), into, log.fileno()
            )
        lines = [self._output.readline()]
        while lines[-1] and "Ctrl-C" not in lines[-1]:
            lines.append(self._output.readline())
        self.banner = "".join(lines)
        address = re.search(r"http://\S+", lines[0])
        assert address, f"{self.banner}\n{self.log.read_text()[-2000:]}"
        self.url = address[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(WAIT)
        self._close()
        return status

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(WAIT)
        self._close()

    def browser(self, **headers: str) -> aiohttp.ClientSession:
        """Return a client that keeps its cookies, and finds the service after a restart."""
        return aiohttp.ClientSession(
            cookie_jar=CookieJar(unsafe=True),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=WAIT),
        )

    def cookie(self, browser: aiohttp.ClientSession) -> str:
        """Return the session id that the browser keeps."""
        return browser.cookie_jar.filter_cookies(URL(self.url))["session_id"].value

    async def sign_in(self, browser: aiohttp.ClientSession, username: str = "alice") -> None:
        """Register and log in."""
        account = {"username": username, "password": PASSWORD}
        new = account | {"email": f"{username}@example.com"}
        async with browser.post(f"{self.url}/auth/register", json=new) as answer:
            assert answer.status == 200, await answer.text()
        async with browser.post(f"{self.url}/auth/login", json=account) as answer:
            assert answer.status == 200, await answer.text()


def with_model(
    data_dir: Path, model: FakeModel, *arguments: str, notes: Path | None = None, **more: object
) -> Service:
    """Return a service that asks the model, and has a server of tools if that has a file of notes.

    Args:
        data_dir: the service's.
        model: what answers.
        arguments: of `serve`.
        notes: where the server of tools writes the calls that it received.
        more: settings.
    """
    provider = {"base_url": model.url, "api_key": "sk-secret", "model": "gpt-twin"}
    settings = {"providers": json.dumps({"twin": provider}), "log_level": "warning"}
    if notes is not None:
        lab = {"command": sys.executable, "args": [str(TOOLSERVER), str(notes)]}
        settings["mcp_servers"] = json.dumps({"lab": lab})
    return Service(data_dir, *arguments, **settings, **more)


async def ask(
    browser: aiohttp.ClientSession, method: str, url: str, body: object = None, **more: Any
) -> tuple[aiohttp.ClientResponse, Any]:
    """Return the answer, and its JSON."""
    async with browser.request(method, url, json=body, **more) as answer:
        text = await answer.read()
        return answer, await answer.json(content_type=None) if text else None


def until(check: Any, seconds: float = WAIT) -> float:
    """Wait for a condition; return how long it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began
