"""`chatvault doctor` on set-ups that are right and on ones that are wrong."""

import importlib.util
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatvault.cli import doctor
from chatvault.cli.doctor import Finding, Verdict
from chatvault.external import McpServer, Provider
from chatvault.settings import Settings
from support.commanding import Command


def told(printed: str, about: str) -> str:
    """The line about one thing."""
    [line] = [line for line in printed.splitlines() if re.match(rf"\w+ +{about}:", line)]
    return line


class TestDoctor:
    def test_accepts_a_correct_setup(self, command: Command) -> None:
        seen = command("doctor")
        assert seen.status == 0, seen.out
        assert told(seen.out, "database").startswith("ok")
        assert told(seen.out, "clock").startswith("ok")
        assert told(seen.out, "models").startswith("warning")
        assert seen.out.splitlines()[-1] == "Nothing is wrong."

    def test_reports_an_unreachable_database(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHATVAULT_MONGODB_URL", "mongodb://root:secret@127.0.0.1:1/")
        monkeypatch.setenv("CHATVAULT_MONGODB_TIMEOUT", "0.3")
        seen = command("doctor")
        assert seen.status == 1
        line = told(seen.out, "database")
        assert line.startswith("wrong")
        assert "127.0.0.1:1 cannot be reached" in line
        assert "secret" not in seen.out
        assert seen.out.splitlines()[-1] == "1 wrong"

    def test_reports_a_port_in_use(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            monkeypatch.setenv("CHATVAULT_PORT", str(taken.getsockname()[1]))
            line = told(command("doctor").out, "address")
        assert line.startswith("warning")
        assert "CHATVAULT_PORT" in line

    def test_reports_invalid_keys(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        path = tmp_path / "data" / "secret.key"
        path.touch(mode=0o600)
        path.write_text("short")
        seen = command("doctor")
        assert seen.status == 1
        assert "holds no key" in told(seen.out, "secret key")

    def test_reports_a_data_directory_open_to_others(
        self, command: Command, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data").chmod(0o755)
        seen = command("doctor")
        assert seen.status == 1
        assert f"run `chmod 700 {tmp_path / 'data'}`" in told(seen.out, "secret key")

    def test_creates_no_missing_audit_keys(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        line = told(command("doctor").out, "audit keys")
        assert line.startswith("warning")
        assert not (tmp_path / "data" / "audit.keys").exists()

    def test_reports_a_data_directory_that_is_a_file(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("CHATVAULT_DATA_DIR", str(tmp_path / "file"))
        assert told(command("doctor").out, "data directory").startswith("wrong")


class TestProviders:
    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        async def models(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != "Bearer right":
                return web.Response(status=401)
            return web.json_response({"data": [{"id": "gpt-one"}]})

        app = web.Application()
        app.router.add_get("/v1/models", models)
        server = TestServer(app)
        await server.start_server()
        yield str(server.make_url("/v1"))
        await server.close()

    async def look(self, tmp_path: Path, **provider: object) -> Finding:
        settings = Settings(
            data_dir=tmp_path, providers={"main": Provider.model_validate(provider)}
        )
        [finding] = [each async for each in doctor._check_providers(settings)]
        return finding

    async def test_are_accepted_if_they_answer(self, tmp_path: Path, url: str) -> None:
        found = await self.look(tmp_path, base_url=url, api_key="right", model="gpt-one")
        assert found.verdict is Verdict.OK

    async def test_are_reported_if_they_refuse_the_key(self, tmp_path: Path, url: str) -> None:
        found = await self.look(tmp_path, base_url=url, api_key="wrong-key", model="gpt-one")
        assert found.verdict is Verdict.WRONG
        assert "refuses its api_key" in found.sentence
        assert "wrong-key" not in found.sentence

    async def test_are_reported_if_they_lack_the_model(self, tmp_path: Path, url: str) -> None:
        found = await self.look(tmp_path, base_url=url, api_key="right", model="gpt-two")
        assert found.verdict is Verdict.WARNING

    async def test_are_reported_if_unreachable(self, tmp_path: Path) -> None:
        found = await self.look(tmp_path, base_url="http://127.0.0.1:1/v1", model="gpt-one")
        assert found.verdict is Verdict.WRONG

    @pytest.mark.parametrize(
        ("key", "verdict"), [("right", Verdict.OK), ("wrong-key", Verdict.WRONG)]
    )
    async def test_are_asked_by_their_protocol(
        self, tmp_path: Path, url: str, key: str, verdict: Verdict
    ) -> None:
        given = {"protocol": "anthropic", "base_url": url, "api_key": key, "model": "gpt-one"}
        found = await self.look(tmp_path, **given)
        assert found.verdict is verdict
        assert url in found.sentence

    async def test_are_reported_if_their_package_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        found = await self.look(tmp_path, protocol="anthropic", model="claude")
        assert found.verdict is Verdict.WRONG
        assert "pip install 'chatvault-server[anthropic]'" in found.sentence


class TestToolServers:
    async def test_are_reported_if_they_cannot_start(self, tmp_path: Path) -> None:
        server = McpServer(command=sys.executable, args=("-c", "raise SystemExit(3)"))
        settings = Settings(data_dir=tmp_path, mcp_servers={"lab": server})
        [found] = [each async for each in doctor._check_tool_servers(settings)]
        assert found.verdict is Verdict.WRONG
        assert str(tmp_path / "mcp" / "lab.log") in found.sentence


def test_prints_no_secret_of_the_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = {"main": {"base_url": "http://127.0.0.1:1/v1", "api_key": "sk-x1", "model": "m"}}
    monkeypatch.setenv("CHATVAULT_PROVIDERS", json.dumps(providers))
    seen = command("doctor")
    assert "sk-x1" not in seen.out + seen.err
