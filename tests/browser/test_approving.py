"""A model wants a tool, and a person decides on what it would do."""

import sys
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from chatvault.actor import Actor, Door, Role
from chatvault.commands import permissions
from chatvault.external import McpServer
from chatvault.settings import Settings
from conftest import SignIn
from support.browsing import OpenPage, ask, said
from support.fake_model import FakeModel, ScriptedAnswer
from support.tooling import Notes, settled_tools

TOOLSERVER = Path(__file__).parent.parent / "support" / "toolserver.py"
TOOL = "lab__echo"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    path = tmp_path / "notes"
    path.touch()
    return Notes(path)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, notes: Notes) -> Settings:
    server = McpServer(command=sys.executable, args=(str(TOOLSERVER), str(tmp_path / "notes")))
    return settings.model_copy(update={"mcp_servers": {"lab": server}})


@pytest.fixture
async def page(open_page: OpenPage, app: web.Application, sign_in: SignIn) -> Page:
    client = await sign_in("alice")
    await settled_tools(app)
    await permissions.grant(
        Actor(door=Door.CLI), tool=TOOL, roles=(Role.USER,), auto_approve_roles=()
    )
    page = await open_page(client=client)
    await page.get_by_role("button", name="Let the assistant use tools").click()
    return page


async def wanted(page: Page, fake_model: FakeModel) -> None:
    call = (TOOL, '{"text": "<b>hello</b>"}')
    fake_model.say(ScriptedAnswer(chunks=["I will."], calls=[call]), "It is done.")
    await ask(page, "Write it down")
    await expect(page.get_by_text("Waits for you")).to_be_visible()


class TestApproval:
    async def test_runs_an_approved_command_once_and_no_rejected_one(
        self, page: Page, fake_model: FakeModel, notes: Notes
    ) -> None:
        await wanted(page, fake_model)
        await page.get_by_role("button", name="Reject").click()
        await expect(page.get_by_text("Rejected")).to_be_visible()
        await expect(said(page, "It is done.")).to_be_visible()
        assert notes.lines == []

        await wanted(page, fake_model)
        await page.reload()
        await expect(page.get_by_text('"text": "<b>hello</b>"').last).to_be_visible()
        # Nothing has it in focus, so Enter approves nothing.
        await page.keyboard.press("Enter")
        assert notes.lines == []
        await page.get_by_role("button", name="Approve", exact=True).click()

        await expect(said(page, "It is done.")).to_have_count(2)
        await expect(page.get_by_text("Done", exact=True)).to_be_visible()
        assert notes.lines == ["echo <b>hello</b>"]
