"""The clients that docs/connect-a-frontend.md shows, each against the running service."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from chatvault.actor import Scope
from chatvault.external import Provider
from chatvault.settings import Settings
from conftest import HttpClient
from support import programs
from support.factories import settings_for
from support.fake_model import FakeModel, ScriptedAnswer
from support.keys import key_of
from support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "connect-a-frontend.md"
KEYS = ROOT / "docs" / "api-keys.md"
ACCOUNT = {"username": "alice", "email": "alice@example.org", "password": "correct-horse"}
# What a browser adds to `fetch`, on a page from http://localhost:5173.
BROWSER = """
const cookies = new Map();
const plain = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  if (options.credentials !== "include") throw new Error("no credentials");
  const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
  const headers = { ...options.headers, Origin: "http://localhost:5173", Cookie: cookie };
  const answer = await plain(url, { ...options, headers });
  if (!answer.headers.get("access-control-allow-credentials")) throw new Error("not allowed");
  for (const each of answer.headers.getSetCookie()) {
    const [, name, value] = each.match(/^([^=]+)=([^;]*)/);
    cookies.set(name, value);
  }
  return answer;
};
"""


@pytest.fixture
def settings(tmp_path: Path, fake_model: FakeModel) -> Settings:
    provider = Provider(base_url=fake_model.url, api_key=SecretStr("sk-key"), model="scripted")
    return settings_for(tmp_path, providers={"scripted": provider})


@pytest.fixture
async def url(http: HttpClient, fake_model: FakeModel) -> str:
    """The address of a service with a model and alice's account."""
    fake_model.say(ScriptedAnswer(chunks=["The ", "Geirangerfjord."]))
    answer = await http.post("/auth/register", json=ACCOUNT)
    assert answer.status == 200
    return str(http.make_url("/")).rstrip("/")


def shown(language: str, number: int, url: str, page: Path = PAGE) -> str:
    """A program of the page, for a service that is elsewhere."""
    found = [block.text for block in blocks(page) if block.language == language]
    return found[number].replace("http://localhost:8000", url)


async def run(*command: str, **variables: str) -> str:
    """Return the output of a program; fail if the program does."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **variables},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


class TestBrowser:
    async def test_signs_in_and_reads_a_stream(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "browser.mjs").write_text(BROWSER)
        (tmp_path / "vault.mjs").write_text(shown("js", 0, url))
        (tmp_path / "page.mjs").write_text('import "./browser.mjs";\n' + shown("js", 1, url))

        said = await run(*programs.node(), str(tmp_path / "page.mjs"))

        answer, *kinds = said.splitlines()
        assert answer == "The Geirangerfjord."
        assert kinds[-1] == "completed"
        assert "delta" in kinds


class TestPython:
    async def test_with_aiohttp(self, url: str) -> None:
        assert await run(sys.executable, "-c", shown("python", 0, url)) == "The Geirangerfjord."

    async def test_with_httpx(self, url: str) -> None:
        said = await run(programs.openapi_python(), "-c", shown("python", 1, url))

        message_id, line = said.splitlines()
        assert message_id in line


class TestApiKeys:
    async def test_in_python(self, url: str) -> None:
        program = shown("python", 0, url, KEYS)
        key = await key_of()
        said = await run(programs.openapi_python(), "-c", program, CHATVAULT_KEY=key.secret)
        assert said == "From Python 1\n"

    async def test_in_typescript(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "program.mts").write_text(shown("ts", 0, url, KEYS))
        key = await key_of()
        said = await run(*programs.node(), str(tmp_path / "program.mts"), CHATVAULT_KEY=key.secret)
        assert said == "From TypeScript\n"

    async def test_in_openais_client(self, url: str) -> None:
        program = shown("python", 1, url, KEYS)
        key = await key_of(scopes=[Scope.AGENTS_RUN])
        said = await run(sys.executable, "-c", program, CHATVAULT_KEY=key.secret)
        assert said == "The Geirangerfjord."
