"""What the image and the Compose file promise; there is no Docker in the tests."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatvault.server.workers import STOP_SECONDS
from conftest import HttpClient

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def service(name: str) -> str:
    """A service's section of the Compose file."""
    found = re.search(rf"^  {name}:\n(.+?)(?=^ {{0,2}}\S)", COMPOSE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def check_health(host: str, port: int) -> int:
    """The status of the image's health check, run as Docker does."""
    [line] = re.findall(
        r"^HEALTHCHECK .*CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    program, *arguments = json.loads(line)
    assert program == "python"
    environment = os.environ | {
        "CHATVAULT_HOST": host,
        "CHATVAULT_PORT": str(port),
        "http_proxy": "http://127.0.0.1:1",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, timeout=30, check=False
    ).returncode


class TestHealthCheck:
    async def test_calls_the_address_of_the_service(self, http: HttpClient) -> None:
        assert http.port is not None
        assert await asyncio.to_thread(check_health, "0.0.0.0", http.port) == 0

    async def test_supports_both_address_families_and_detects_failure(self) -> None:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
        statuses = [200, 503]

        async def get_ready(_request: web.Request) -> web.Response:
            return web.Response(status=statuses.pop(0))

        app = web.Application()
        app.router.add_get("/ready", get_ready)
        async with TestServer(app, host="::1") as server:
            assert server.port is not None
            assert await asyncio.to_thread(check_health, "::", server.port) == 0
            assert await asyncio.to_thread(check_health, "::1", server.port) == 1

    def test_fails_where_nothing_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            assert check_health("127.0.0.1", taken.getsockname()[1]) != 0


class TestCompose:
    def test_gives_the_service_time_to_stop(self) -> None:
        told = re.search(r"stop_grace_period: (\d+)s", service("chatvault"))
        assert told
        # What follows the drain has taken 8 s beyond it.
        assert int(told[1]) >= STOP_SECONDS + 10

    @pytest.mark.parametrize("name", ["mongo", "chatvault"])
    def test_limits_memory_and_processes(self, name: str) -> None:
        limits = re.search(r"limits: \{memory: \S+, pids: \d+\}", service(name))
        assert limits

    def test_keeps_slow_operations_out_of_the_log(self) -> None:
        assert f'--slowms, "{2**31 - 1}"' in service("mongo")
