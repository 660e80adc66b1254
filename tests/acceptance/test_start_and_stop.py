"""Starting and stopping: the banner, quick starts, drained requests, nothing left behind."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatvault.server.http import DRAIN_SECONDS
from support.running import (
    Service,
    ask,
    chatvault,
    environment,
    processes_of,
    seconds_of_a_command,
)

pytestmark = pytest.mark.xdist_group("service")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


class TestStart:
    def test_prints_the_next_steps(self, service: Service) -> None:
        first, data, docs, user, file, admin, stop = service.banner.splitlines()
        assert first.startswith("chatvault ")
        assert first.endswith(f"answers at {service.url}")
        assert service.url.startswith("http://localhost:")
        assert str(service.data_dir) in data
        assert f"{service.url}/docs" in docs
        assert "users create alice" in user
        assert "import my_conversations.json --username alice" in file
        assert "POST /auth/first-admin, token " in admin
        assert "Ctrl-C" in stop

    async def test_is_quick_with_existing_data(self, data_dir: Path) -> None:
        with Service(data_dir) as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                _, begun = await ask(browser, "POST", f"{service.url}/conversations", {})

                # A busy machine may hold up one of them.
                assert any(self._times_to_start_again(service) < 6 for _ in range(2))

                path = f"{service.url}/conversations/{begun['id']}"
                answer, found = await ask(browser, "GET", path)
                assert (answer.status, found) == (200, begun)

    @staticmethod
    def _times_to_start_again(service: Service) -> float:
        """How many times as long as a command; waiting for an election would be ten seconds."""
        assert service.stop() == 0
        began = time.monotonic()
        service.start()
        return (time.monotonic() - began) / seconds_of_a_command(service.data_dir)

    def test_writes_the_next_steps_to_json_logs(self, data_dir: Path) -> None:
        command = [sys.executable, "-m", "chatvault", "serve", "--port", "0"]
        variables = environment(data_dir, log_format="json", port=1)
        with subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            lines = map(json.loads, process.stderr)
            serving = next(line for line in lines if line["event"] == "serving")
            process.terminate()
            assert process.communicate(timeout=30)[0] == ""
        assert serving["address"].startswith("http://")
        assert not serving["address"].endswith(":1")
        assert serving["data"] == str(data_dir)

    def test_refuses_data_in_use_in_one_line(self, service: Service) -> None:
        second = chatvault(service.data_dir, "serve")
        assert second.returncode == 1
        assert second.stdout == ""
        [line] = second.stderr.splitlines()
        assert line.startswith("chatvault: ")
        assert f"pid {service.process.pid}" in line

    def test_refuses_a_port_in_use_in_one_line_and_leaves_nothing(
        self, service: Service, data_dir: Path
    ) -> None:
        port = service.url.rpartition(":")[2]
        second = chatvault(data_dir, "serve", port=port)
        assert second.returncode == 1
        lines = [line for line in second.stderr.splitlines() if "Starting the embedded" not in line]
        assert len(lines) == 1
        assert f"Cannot listen on 127.0.0.1:{port}" in lines[0]
        assert "CHATVAULT_PORT" in lines[0]
        assert processes_of(data_dir) == []


class TestStop:
    async def test_completes_running_requests_and_leaves_no_process(self, data_dir: Path) -> None:
        with Service(data_dir) as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                cookie = service.cookie(browser)
            host, port = service.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            idle_reader, idle_writer = await asyncio.open_connection(host, int(port))
            body = b'{"title": "under way"}'
            head = (
                f"POST /conversations HTTP/1.1\r\nHost: {host}\r\nCookie: session_id={cookie}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body[:5])
            await writer.drain()
            await asyncio.sleep(0.3)

            service.process.send_signal(signal.SIGTERM)
            # Idle connections are closed when the drain has begun.
            assert await asyncio.wait_for(idle_reader.read(), 30) == b""
            idle_writer.close()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(host, int(port))
            assert service.process.poll() is None
            writer.write(body[5:])
            answer = await asyncio.wait_for(reader.read(), DRAIN_SECONDS)
            writer.close()
            await writer.wait_closed()

            assert answer.startswith(b"HTTP/1.1 201 ")
            assert b'"under way"' in answer
            assert await asyncio.to_thread(service.process.wait, 60) == 0
            assert processes_of(data_dir) == []

    async def test_by_ctrl_c_is_not_held_up_by_idle_connections(self, data_dir: Path) -> None:
        with Service(data_dir) as service:
            async with service.browser() as browser:
                await ask(browser, "GET", f"{service.url}/health")
                host, port = service.url.removeprefix("http://").split(":")
                with socket.create_connection((host, int(port))):
                    began = time.monotonic()
                    assert await asyncio.to_thread(service.stop, signal.SIGINT) == 0
                    # Requests under way would be waited for.
                    assert time.monotonic() - began < DRAIN_SECONDS
            assert processes_of(data_dir) == []
