"""Every message passes the codec on its way into MongoDB, and on its way out."""

import json
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts import service as accounts
from chatvault.actor import Actor, Door
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.sealed import EMBEDDED_PLAIN, SLOT
from chatvault.fields import now
from chatvault.importing.reports import OnDuplicate
from chatvault.importing.service import import_file
from conftest import HttpClient
from support.answers import found
from support.codecs import CountingCodec
from support.exports import exported
from support.factories import begin, message
from support.fake_model import FakeModel
from support.imports import deps_of, read
from support.stored import tiny_bounds
from support.talking import ask, settled
from support.tooling import Grant, answered, path_to, propose

ECHO = ("lab__echo", '{"text": "hi"}')


@pytest.fixture(autouse=True)
def codec(app: web.Application, monkeypatch: pytest.MonkeyPatch) -> CountingCodec:
    """What the application's messages pass; a handful of them is enough for segments."""
    tiny_bounds(monkeypatch)
    app[STORE].codec = codec = CountingCodec()
    return codec


def numbered(count: int, prefix: str = "m") -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [
        message(f"{prefix} {n}", roles[n % 2], id=f"{prefix}{n}", own="mine") for n in range(count)
    ]


async def check_stored(database: Any, *, revisions: bool = False) -> int:
    """See that each stored message is sealed; returns how many there are."""
    count = 0
    for document in await database["conversations"].find().to_list():
        assert isinstance(document["title"], bytes)
        for each in document["messages"]:
            assert "deleted" in each or each.keys() <= {"c", *EMBEDDED_PLAIN}
        count += len(document["messages"])
    for document in await database["segments"].find().to_list():
        assert all(each.keys() <= SLOT for each in document["messages"])
        places = [range(run["at"], run["at"] + run["n"]) for run in document["runs"]]
        assert sorted({place for each in places for place in each}) == [
            *range(len(document["messages"]))
        ]
        count += len(document["messages"])
    found = await database["revisions"].find().to_list()
    assert bool(found) is revisions
    assert all(each["message"].keys() == {"id", "c"} for each in found)
    return count + len(found)


async def send(http: HttpClient, method: str, path: str, status: int, **more: Any) -> Any:
    answer = await http.request(method, path, **more)
    body = await answer.text()
    assert answer.status == status, body
    return json.loads(body) if answer.content_type == "application/json" else body


class TestWrites:
    async def test_of_messages(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        one = await begin(alice, messages=numbered(12))
        path = f"/conversations/{one['id']}/messages"
        await send(alice, "POST", path, 200, json=message("one", id="one"))
        key = {"Idempotency-Key": "k"}
        for _ in range(2):
            batch = {"messages": numbered(3, "b")}
            await send(alice, "POST", f"{path}:batch", 200, json=batch, headers=key)
        await app[COMMITS].drain()
        for name in ("m1", "b2"):  # in a segment, and in the tail
            await send(alice, "PATCH", f"{path}/{name}", 200, json={"content": "edited"})
        await send(alice, "DELETE", f"{path}/m2", 204)
        last = message("again", "assistant", replaces="b1")
        await send(alice, "DELETE", f"{path}/b2", 204)
        await send(alice, "POST", path, 200, json=last)
        assert await check_stored(database, revisions=True) == 16 + 2
        shown = (await found(alice, one["id"]))["messages"]
        assert [each["content"] for each in shown] == [
            *("m 0", "edited", *(f"m {n}" for n in range(3, 12))),
            *("one", "b 0", "again"),
        ]
        assert [each["own"] for each in shown if each["id"] == "m5"] == ["mine"]

    async def test_of_all_messages(self, alice: HttpClient, database: Any) -> None:
        one = await begin(alice, messages=numbered(3))
        path = f"/conversations/{one['id']}"
        for count in (4, 40):
            body = {"messages": numbered(count, "p")}
            assert len((await send(alice, "PUT", path, 200, json=body))["messages"]) == count
        await check_stored(database)

    async def test_of_an_import(
        self, app: web.Application, alice: HttpClient, database: Any
    ) -> None:
        user = await accounts.find_by_username("alice")
        assert user is not None
        for on_duplicate in OnDuplicate:
            await import_file(
                Actor(door=Door.CLI, user_id=user.id),
                deps_of(app),
                content=read(
                    json.dumps([exported(n, messages=n) for n in (2, 30)]).encode(),
                    name="my.json",
                    now=now(),
                ),
                on_duplicate=on_duplicate,
            )
        # The older one of those that were replaced waits for the sweeper.
        assert await check_stored(database) >= 2 * 32
        listed = await send(alice, "GET", "/conversations", 200)
        assert {len(each["messages"]) for each in listed} == {2, 30}

    async def test_of_replies(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        one = await begin(alice, messages=numbered(10))
        await ask(alice, one, "Hello")
        await ask(alice, one, None, regenerate="replace")
        await ask(alice, one, None, regenerate="branch")
        await settled(alice, one)
        summary = await send(alice, "POST", f"/conversations/{one['id']}/summary", 200)
        assert summary["summary"]
        await check_stored(database, revisions=True)
        assert ("user", "m 8") in fake_model.asked[0]
        body = {"title": "T", "initial_message": "Hello"}
        opened = await send(alice, "POST", "/conversations", 201, json=body)
        assert (await settled(alice, opened))["messages"][0]["content"] == "Hello"
        await check_stored(database, revisions=True)

    async def test_of_commands(
        self, alice: HttpClient, fake_model: FakeModel, tools: Grant, database: Any
    ) -> None:
        await tools("lab__echo")
        one, [approved, rejected] = await propose(alice, fake_model, ECHO, ECHO)
        await send(alice, "POST", path_to(one, rejected, "reject"), 200)
        await send(alice, "POST", path_to(one, approved, "approve"), 200)
        shown = await answered(alice, one)
        listed = await send(alice, "GET", f"/conversations/{one['id']}/commands", 200)
        assert {each["status"] for each in listed} == {"executed", "rejected"}
        assert shown["messages"][0]["content"] == "Do it"
        await check_stored(database)


class TestReads:
    @pytest.mark.parametrize("count", [3, 12, 60])
    async def test_show_the_messages(self, alice: HttpClient, count: int) -> None:
        one = await begin(alice, messages=numbered(count))
        path = f"/conversations/{one['id']}"
        contents = [each["content"] for each in one["messages"]]
        assert contents == [f"m {n}" for n in range(count)]
        pages = ("before=latest", "before=3", "after=-1", "after=1", "offset=1", "limit=1")
        for page in pages:
            body = await send(alice, "GET", f"{path}/messages?{page}", 200)
            assert body["messages"][0]["content"] in contents
        streamed = await send(
            alice, "GET", f"{path}/messages", 200, headers={"Accept": "application/x-ndjson"}
        )
        assert [json.loads(each)["content"] for each in streamed.splitlines()] == contents
        for number in (0, count - 1):
            body = await send(alice, "GET", f"{path}/messages/m{number}", 200)
            assert body["content"] == f"m {number}"
        await send(alice, "PATCH", f"{path}/messages/m0", 200, json={"content": "new"})
        [revision] = await send(alice, "GET", f"{path}/messages/m0/revisions", 200)
        assert revision["message"]["content"] == "m 0"
        context = await send(alice, "GET", f"{path}/context", 200)
        assert context["messages"][-1]["content"] == contents[-1]

    async def test_do_not_decode_what_is_rendered(
        self, app: web.Application, alice: HttpClient, codec: CountingCodec
    ) -> None:
        one = await begin(alice, messages=numbered(60))
        await app[COMMITS].drain()
        first = await found(alice, one["id"])
        before = codec.opened
        assert await found(alice, one["id"]) == first
        # Those of the tail only.
        assert codec.opened - before <= 4
