"""Attachments in exports: their bytes go out, and come in again."""

import io
import json
import tracemalloc
import zipfile
from typing import Any

import pytest
from aiohttp import web

from chatvault.actor import Actor, Door
from chatvault.attachments.files import PART
from chatvault.exporting.routes import EXPORT_DEPS
from chatvault.exporting.service import export_user
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.imports import bring_in

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (PART * 9 // 256) + b"\x00"
NOTE = b'[{"messages": [{"role": "user", "content": "not to be imported"}]}]'
USERS = "/users/me/export"


async def attach(client: HttpClient, conversation: dict[str, Any], name: str, data: bytes) -> str:
    mime = "image/png" if name.endswith(".png") else "application/json"
    answer = await client.post(
        f"/conversations/{conversation['id']}/attachments",
        params={"name": name},
        data=io.BytesIO(data),
        headers={"Content-Type": mime},
    )
    assert answer.status == 201, await answer.text()
    found: str = (await answer.json())["id"]
    return found


async def attachments_of(client: HttpClient, conversation: str) -> dict[str, tuple[Any, bytes]]:
    """Return what is known of each attachment, and its bytes."""
    path = f"/conversations/{conversation}/attachments"
    listed = (await (await client.get(path)).json())["attachments"]
    found = {}
    for each in listed:
        answer = await client.get(f"{path}/{each['id']}")
        found[each["id"]] = (each, await answer.read() if answer.status == 200 else b"")
    return found


async def export(client: HttpClient, path: str) -> bytes:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.read()


def files_in(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
async def talk(alice: HttpClient) -> dict[str, Any]:
    """A conversation with a picture that a message shows, and a file that none shows."""
    begun = await begin(alice, title="With files")
    picture = await attach(alice, begun, "a (b).png", PICTURE)
    await attach(alice, begun, "chats.json", NOTE)
    part = {"type": "file", "attachment_id": picture, "name": "a (b).png", "mime": "image/png"}
    said = message("Look", parts=[{"type": "text", "text": "Look"}, part])
    answer = await alice.post(f"/conversations/{begun['id']}/messages", json=said)
    assert answer.status == 200, await answer.text()
    return begun


async def imported(client: HttpClient, data: bytes) -> str:
    """Import an export of one conversation; return the id of what it became."""
    told = await bring_in(client, data)
    assert [each["outcome"] for each in told["conversations"]] == ["imported"]
    assert told["left_out"] == {}
    [found] = await (await client.get("/conversations")).json()
    id_: str = found["id"]
    return id_


class TestJson:
    @pytest.mark.parametrize("shape", ["json", "ndjson"])
    async def test_comes_in_again_with_the_bytes(
        self, alice: HttpClient, bob: HttpClient, talk: dict[str, Any], shape: str
    ) -> None:
        path = f"/conversations/{talk['id']}/export?format={shape}&attachments=include"
        data = await export(alice, path)
        mine = await attachments_of(alice, talk["id"])

        assert await attachments_of(bob, await imported(bob, data)) == mine
        assert [data for _, data in mine.values()].count(PICTURE) == 1

    async def test_names_the_files_only_by_default(
        self, alice: HttpClient, bob: HttpClient, talk: dict[str, Any]
    ) -> None:
        data = await export(alice, f"/conversations/{talk['id']}/export")
        [found] = json.loads(data)["conversations"]

        assert {each["name"] for each in found["attachments"]} == {"a (b).png", "chats.json"}
        assert not any(each.keys() & {"data", "file"} for each in found["attachments"])
        theirs = await attachments_of(bob, await imported(bob, data))
        assert {each["state"] for each, _ in theirs.values()} == {"absent"}

    async def test_without_bytes_leaves_those_alone_that_are_here(
        self, alice: HttpClient, talk: dict[str, Any]
    ) -> None:
        before = await attachments_of(alice, talk["id"])
        data = await export(alice, f"/conversations/{talk['id']}/export")
        told = await bring_in(alice, data, "?on_duplicate=replace")

        assert [each["outcome"] for each in told["conversations"]] == ["replaced"]
        assert await attachments_of(alice, talk["id"]) == before

    async def test_with_wrong_base64_is_imported_without(
        self, alice: HttpClient, bob: HttpClient, talk: dict[str, Any]
    ) -> None:
        raw = json.loads(await export(alice, f"/conversations/{talk['id']}/export"))
        for each in raw["conversations"][0]["attachments"]:
            each |= {"data": "abc", "id": "../x" if each["mime"] == "image/png" else each["id"]}
        told = await bring_in(bob, json.dumps(raw).encode())

        assert told["left_out"] == {"contents of files that are damaged": 1}
        assert told["unknown"] == {"chatvault: attachments of conversations": 1}


class TestEverything:
    async def test_comes_in_again_with_the_bytes(
        self, alice: HttpClient, bob: HttpClient, talk: dict[str, Any]
    ) -> None:
        data = await export(alice, USERS)
        files = files_in(data)
        packed = {name: each for name, each in files.items() if name.startswith("attachments/")}
        mine = await attachments_of(alice, talk["id"])

        assert sorted(packed.values()) == sorted([PICTURE, NOTE])
        assert json.loads(files["export.json"])["end"]["attachments"] == 2
        assert await attachments_of(bob, await imported(bob, data)) == mine

    async def test_has_the_imports(self, alice: HttpClient, talk: dict[str, Any]) -> None:
        data = await export(alice, f"/conversations/{talk['id']}/export")
        length = {"Upload-Length": str(len(data)), "Tus-Resumable": "1.0.0"}
        made = await alice.post("/imports/uploads", headers=length)
        place = made.headers["Location"]
        sent = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        await alice.patch(place, data=data, headers=sent | {"Tus-Resumable": "1.0.0"})
        job = await alice.post(f"/imports?upload_id={place.rpartition('/')[2]}")
        assert job.status == 202, await job.text()

        [line] = files_in(await export(alice, USERS))["imports.ndjson"].splitlines()
        assert json.loads(line)["id"] == (await job.json())["id"]

    async def test_takes_little_memory(
        self, alice: HttpClient, app: web.Application, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(8):
            await attach(alice, begun, f"{number}.png", bytes([number]) + bytes(4 * 1024**2))
        user = await database.users.find_one({})
        tracemalloc.start()
        try:
            made = await export_user(Actor(door=Door.HTTP, user_id=user["_id"]), app[EXPORT_DEPS])
            async for _ in made.chunks:
                pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert made.counts.attachments == 8
        assert peak < 16 * 1024**2


class TestDocuments:
    @pytest.mark.parametrize("shape", ["markdown", "html"])
    async def test_link_to_files_of_the_same_archive(
        self, alice: HttpClient, talk: dict[str, Any], shape: str
    ) -> None:
        files = files_in(await export(alice, f"/conversations/export?format={shape}"))
        [note] = [each.decode() for name, each in files.items() if name.startswith("20")]
        paths = {name for name in files if name.startswith("attachments/")}

        assert {files[path] for path in paths} == {PICTURE, NOTE}
        for path in paths:
            link = "../../" + path.replace(" ", "%20").replace("(", "%28").replace(")", "%29")
            assert note.count(link) == 1

    async def test_of_one_conversation_is_a_zip_where_asked_for(
        self, alice: HttpClient, talk: dict[str, Any]
    ) -> None:
        path = f"/conversations/{talk['id']}/export?format=markdown"
        plain = await export(alice, path)
        answer = await alice.get(f"{path}&attachments=include")

        assert b"attachments/" not in plain
        assert "*File: a \\(b\\)\\.png" in plain.decode()
        assert answer.headers["Content-Type"] == "application/zip"
        assert PICTURE in files_in(await answer.read()).values()
        without = "/conversations/export?format=markdown&attachments=omit"
        assert PICTURE not in files_in(await export(alice, without)).values()

    async def test_others_have_no_place_for_files(
        self, alice: HttpClient, talk: dict[str, Any]
    ) -> None:
        for path in (f"/conversations/{talk['id']}/export", "/conversations/export"):
            answer = await alice.get(f"{path}?format=sharegpt&attachments=include")
            await problem(answer, 422, "invalid_input")
