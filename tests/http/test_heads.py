"""HEAD is answered as GET is, without the body."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from chatvault.actor import Role
from chatvault.external import Provider
from chatvault.operations import ROUTES
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.fake_model import FakeModel
from support.operations import make_batch, make_export, make_import
from support.serving import Address, Wire, request, serving, wire
from support.talking import ask, settled

NDJSON = "Accept: application/x-ndjson"
PATHS = [each.path for each in chain.from_iterable(ROUTES) if each.method == "GET"]
MESSAGES = "/conversations/{conversation_id}/messages"


@pytest.fixture
def settings(data_dir: Path, fake_model: FakeModel) -> Settings:
    return Settings(
        data_dir=data_dir,
        bcrypt_rounds=4,
        mongodb_database="tests",
        providers={"twin": Provider(base_url=fake_model.url, model="gpt-twin")},
    )


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("admin", role=Role.ADMIN)


@pytest.fixture
async def ids(admin: HttpClient) -> dict[str, str]:
    """What stands for the parameters of paths."""
    begun = await begin(admin, messages=[message("x", id="m")])
    exchange = await ask(admin, begun)
    await settled(admin, begun)
    agents = await (await admin.get("/agents")).json()
    path = f"/conversations/{begun['id']}/attachments?name=a"
    attachment = await (await admin.post(path, data=b"x")).json()
    length = {"Upload-Length": "5"}
    uploaded = await (await admin.post("/imports/uploads", headers=length)).json()
    return {
        "conversation_id": begun["id"],
        "message_id": "m",
        "attachment_id": attachment["id"],
        "reply_id": exchange["reply_id"],
        "agent_id": agents["agents"][0]["id"],
        "command_id": "0" * 24,
        "import_id": await make_import(begun),
        "upload_id": uploaded["id"],
        "export_id": await make_export(begun),
        "batch_id": await make_batch(begun),
        **dict.fromkeys(("template_id", "erasure_id"), "0" * 24),
        **dict.fromkeys(("hold_id", "user_id", "note_id", "link_id", "group_id"), "0" * 24),
        "token": "nothing",
        "subject": "user",
        "number": "1",
    }


@pytest.fixture
async def served(
    admin: HttpClient, settings: Settings, mongodb_url: str
) -> AsyncIterator[tuple[Address, str]]:
    """Where it listens, and the admin's cookie."""
    cookie = next(iter(admin.session.cookie_jar)).value
    async with serving(settings, mongodb_url) as address:
        yield address, f"Cookie: session_id={cookie}"


async def has_ended(client: Wire) -> bool:
    """Whether the next answer begins where the last one ended."""
    await client.send(request("GET", "/health"))
    status, answer = await client.answer()
    return status == 200 and answer["status"] == "healthy"


class TestHead:
    async def test_has_no_body(
        self, served: tuple[Address, str], ids: dict[str, str], database: Any
    ) -> None:
        address, cookie = served
        for path in [*PATHS, MESSAGES]:
            lines = [cookie, NDJSON] if path is MESSAGES else [cookie]
            known = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)
            async with asyncio.timeout(20), wire(address) as asks, wire(address) as gets:
                await asks.send(request("HEAD", known, *lines))
                status, headers = await asks.head()
                assert await has_ended(asks), known
                await gets.send(request("GET", known, *lines))
                wanted, expected = await gets.head()
            assert status == wanted, known
            assert headers.get("content-type") == expected.get("content-type"), known
        asked = {"action": "audit.export", "outcome": "success"}
        assert await database.audit_logs.count_documents(asked) == 2
