"""Data that an older version stored is read, verified and continued by this one."""

import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import CookieJar, web
from pymongo import MongoClient

from chatvault.actor import Actor, Door
from chatvault.app import create_app
from chatvault.audit.recorder import Recorder
from chatvault.sealing import service as sealing
from chatvault.settings import Settings
from conftest import ClientFactory, HttpClient
from support.factories import message
from support.older import put_into

NAME = "tests-of-0-1-0"


@pytest.fixture
async def app(
    settings: Settings, mongodb: MongoClient[dict[str, Any]], mongodb_url: str
) -> AsyncIterator[web.Application]:
    settings = settings.model_copy(update={"mongodb_database": NAME})
    mongodb.drop_database(NAME)
    put_into(mongodb[NAME], settings.data_dir)
    yield create_app(settings, mongodb_url=mongodb_url)
    mongodb.drop_database(NAME)


@pytest.fixture
async def alice(app: web.Application, aiohttp_client: ClientFactory) -> HttpClient:
    browser = await aiohttp_client(app, cookie_jar=CookieJar(unsafe=True))
    account = {"username": "alice", "password": "correct horse"}
    answer = await browser.post("/auth/login", json=account)
    assert answer.status == 200, await answer.text()
    return browser


class TestDataOfVersion010:
    async def test_is_shown_unchanged(self, alice: HttpClient) -> None:
        shown = await (await alice.get("/conversations?view=summary")).json()
        assert {each["title"]: each["total_messages"] for each in shown} == {
            "Small": 2,
            "Long": 1202,
            "Archived": 0,
        }
        long = next(each["id"] for each in shown if each["title"] == "Long")
        messages = f"/conversations/{long}/messages"
        page = await (await alice.get(f"{messages}?offset=0&limit=2")).json()
        assert [each["content"] for each in page["messages"]] == ["message 0, edited", "message 2"]
        first = page["messages"][0]["id"]
        revisions = await (await alice.get(f"{messages}/{first}/revisions")).json()
        assert "message 0" in str(revisions)

    async def test_can_be_continued(self, alice: HttpClient) -> None:
        shown = await (await alice.get("/conversations")).json()
        long = next(each["id"] for each in shown if each["title"] == "Long")
        path, headers = f"/conversations/{long}/messages", {"Prefer": "return=minimal"}
        answer = await alice.post(path, json=message("new"), headers=headers)
        stored = (await answer.json())["message"]
        assert stored["seq"] == 1203
        edit = await alice.patch(
            f"/conversations/{long}/messages/{stored['id']}", json={"content": "newer"}
        )
        assert edit.status == 200
        page = await (
            await alice.get(f"/conversations/{long}/messages?before=latest&limit=1")
        ).json()
        assert page["messages"][0]["content"] == "newer"

    @pytest.mark.usefixtures("alice")
    async def test_has_an_audit_log_that_verifies(self) -> None:
        report = await sealing.verify_log(Actor(door=Door.CLI), Recorder())
        assert report.newest is not None

    async def test_can_be_exported(self, alice: HttpClient) -> None:
        found = await (await alice.get("/conversations/export")).json()
        counts = {each["title"]: len(each["messages"]) for each in found["conversations"]}
        assert counts == {"Small": 2, "Long": 1202, "Archived": 0}
        assert {each["completeness"] for each in found["conversations"]} == {"whole"}
        for shape in ("ndjson", "markdown", "html", "openai", "sharegpt"):
            answer = await alice.get(f"/conversations/export?format={shape}")
            assert answer.status == 200
            assert await answer.read()
        answer = await alice.get("/users/me/export")
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            assert b"message 0" in archive.read("revisions.ndjson")
