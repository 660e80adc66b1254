"""Conversations that outgrow their document: what moves, and that nobody sees a difference."""

import asyncio
from typing import Any

import pytest

from chatvault.conversations.routes import COMMITS
from chatvault.conversations.segments import TAIL_BYTES, TAIL_KEPT, TAIL_LENGTH
from conftest import HttpClient
from support.answers import JSON, found, problem
from support.factories import begin, message
from support.stored import large, stored, tiny_bounds

MEGABYTE = 1024 * 1024
MINIMAL = {"Prefer": "return=minimal"}


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}"


async def settled(http: HttpClient) -> None:
    """Wait until nothing waits in the lane, moves included."""
    assert http.app is not None
    await http.app[COMMITS].drain()


async def append(http: HttpClient, conversation: dict[str, Any], content: str) -> dict[str, Any]:
    answer = await http.post(
        f"{at(conversation)}/messages",
        data=large(message(content))["data"],
        headers=MINIMAL | JSON,
    )
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


class TestOverflow:
    async def test_by_count_moves_the_oldest_and_changes_neither_version_nor_time(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(TAIL_LENGTH):
            last = await append(alice, begun, str(number))
        await settled(http)
        before = await stored(database, begun["id"])
        assert (len(before.segments), len(before.document["messages"])) == (0, TAIL_LENGTH)

        last = await append(alice, begun, str(TAIL_LENGTH))
        await settled(http)

        after = await stored(database, begun["id"])
        assert len(after.document["messages"]) == TAIL_KEPT
        assert after.contents == [str(number) for number in range(TAIL_LENGTH + 1)]
        assert after.document["version"] == last["version"] == before.document["version"] + 1
        shown = await found(alice, begun["id"])
        assert (shown["version"], shown["updated_at"]) == (last["version"], last["updated_at"])
        assert [each["content"] for each in shown["messages"]] == after.contents
        assert shown["messages_truncated"] is False

    async def test_by_bytes_moves_before_the_count_is_reached(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(5):
            await append(alice, begun, f"{number}" + "x" * (TAIL_BYTES // 4))
        await settled(http)
        lies = await stored(database, begun["id"])
        assert lies.document["tail_bytes"] <= TAIL_BYTES
        assert lies.document["tail_seq"] > 0
        assert [each[0] for each in lies.contents] == list("01234")

    async def test_stores_hundreds_of_concurrent_appends_in_order(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        answers = await asyncio.gather(
            *(append(alice, begun, str(number)) for number in range(400))
        )
        await settled(http)
        lies = await stored(database, begun["id"])
        assert list(lies.messages) == list(range(400))
        assert sorted(map(int, lies.contents)) == list(range(400))
        # Each was told its own place.
        told = {each["message"]["seq"]: each["message"]["content"] for each in answers}
        assert told == {seq: each["content"] for seq, each in lies.messages.items()}
        assert lies.document["version"] == 401
        assert len(lies.segments) <= 400 / 256 + 1

    async def test_fills_segments_before_it_adds_new_ones(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, messages=[message(str(n)) for n in range(300)])
        for number in range(300, 600):
            await append(alice, begun, str(number))
        await settled(http)
        lies = await stored(database, begun["id"])
        assert [run["length"] for run in lies.segments[:-1]] == [256] * (len(lies.segments) - 1)
        assert lies.contents == [str(number) for number in range(600)]

    async def test_writes_no_audit_entry(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(60):
            await append(alice, begun, str(number))
        await settled(http)
        entries = await database["audit_logs"].find({"resource_id": begun["id"]}).to_list()
        assert len(entries) == 61
        assert {entry["door"] for entry in entries} == {"http"}


class TestMegabytes:
    async def test_twenty_messages_of_a_megabyte_fit(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(20):
            await append(alice, begun, chr(ord("a") + number) * MEGABYTE)
        await settled(http)

        lies = await stored(database, begun["id"])
        assert "".join(each[0] for each in lies.contents) == "abcdefghijklmnopqrst"
        assert {len(each) for each in lies.contents} == {MEGABYTE}
        page = await (await alice.get(f"{at(begun)}/messages?before=latest&limit=2")).json()
        assert [each["content"][:1] for each in page["messages"]] == ["s", "t"]

    async def test_twenty_at_the_same_time_fit_too(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        await asyncio.gather(
            *(append(alice, begun, chr(ord("a") + number) * MEGABYTE) for number in range(20))
        )
        await settled(http)
        lies = await stored(database, begun["id"])
        assert sorted(each[0] for each in lies.contents) == list("abcdefghijklmnopqrst")

    @pytest.mark.parametrize(
        ("content", "status"),
        [
            ("x" * MEGABYTE, 200),
            ("x" * (MEGABYTE + 1), 413),
            ("🎉" * (MEGABYTE // 4), 200),
            ("🎉" * (MEGABYTE // 4) + "x", 413),
            ("€" * (MEGABYTE // 3), 200),
            ("€" * (MEGABYTE // 3) + "€", 413),
        ],
    )
    @pytest.mark.parametrize("way", ["append", "batch", "edit", "put"])
    async def test_the_limit_is_exact_on_every_route(
        self, alice: HttpClient, way: str, content: str, status: int
    ) -> None:
        begun = await begin(alice, messages=[message("old", id="old")])
        path = at(begun)
        method, address, body = {
            "append": ("POST", f"{path}/messages", message(content)),
            "batch": ("POST", f"{path}/messages:batch", {"messages": [message(content)]}),
            "edit": ("PATCH", f"{path}/messages/old", {"content": content}),
            "put": ("PUT", path, {"messages": [message(content)]}),
        }[way]
        answer = await alice.request(method, address, **large(body))
        await answer.read()
        if status == 200:
            assert answer.status == 200
            assert (await found(alice, begun["id"]))["messages"][-1]["content"] == content
        else:
            assert "1 MB" in (await problem(answer, 413, "too_large"))["detail"]
            assert await found(alice, begun["id"]) == begun

    @pytest.mark.parametrize("moved", [False, True])
    async def test_edits_may_let_every_message_grow_to_a_megabyte(
        self, http: HttpClient, alice: HttpClient, database: Any, *, moved: bool
    ) -> None:
        some = [message(str(number), id=f"m{number}") for number in range(20)]
        more = [message("newer") for _ in range(60)] if moved else []
        begun = await begin(alice, messages=some + more)
        await settled(http)
        edits = [
            alice.patch(
                f"{at(begun)}/messages/m{number}", **large({"content": "🎉" * (MEGABYTE // 4)})
            )
            for number in range(20)
        ]
        answers = await asyncio.gather(*edits)
        for answer in answers:
            await answer.read()
        assert [answer.status for answer in answers] == [200] * 20
        await settled(http)
        lies = await stored(database, begun["id"])
        assert [len(each) for each in lies.contents[:20]] == [MEGABYTE // 4] * 20


class TestConcurrency:
    async def test_does_not_let_moves_disturb_readers(
        self,
        http: HttpClient,
        alice: HttpClient,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tiny_bounds(monkeypatch)
        begun = await begin(alice)
        wanted = 80
        done = asyncio.Event()

        async def write() -> None:
            for number in range(wanted):
                await append(alice, begun, str(number))
            done.set()

        async def read() -> int:
            reads = 0
            while not done.is_set():
                shown = await found(alice, begun["id"])
                contents = [each["content"] for each in shown["messages"]]
                assert contents == [str(number) for number in range(shown["total_messages"])]
                [listed] = await (await alice.get("/conversations")).json()
                seqs = [each["seq"] for each in listed["messages"]]
                assert seqs == list(range(listed["total_messages"]))[-len(seqs) or 10**6 :]
                assert listed["messages_truncated"] is (len(seqs) < listed["total_messages"])
                reads += 1
            return reads

        _, reads = await asyncio.gather(write(), read())
        assert reads > 10
        await settled(http)
        lies = await stored(database, begun["id"])
        assert lies.contents == [str(number) for number in range(wanted)]
        assert len(lies.segments) > 20

    async def test_keeps_conversations_consistent(
        self,
        http: HttpClient,
        alice: HttpClient,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tiny_bounds(monkeypatch)
        begun = await begin(alice, messages=[message(f"{n}", id=f"old{n}") for n in range(12)])
        path = at(begun)

        async def write(number: int) -> list[int]:
            batch = {"messages": [message(f"{number}b{k}") for k in range(3)]}
            requests = [
                alice.post(f"{path}/messages", json=message(f"{number}a", id=f"a{number}")),
                alice.post(f"{path}/messages:batch", json=batch),
                alice.patch(f"{path}/messages/old{number}", json={"content": "edited"}),
                alice.delete(f"{path}/messages/old{11 - number}"),
                alice.put(path, json={"title": f"{number}"}),
            ]
            return [answer.status for answer in await asyncio.gather(*requests)]

        statuses = await asyncio.gather(*(write(number) for number in range(12)))
        assert {status for some in statuses for status in some} <= {200, 204, 404}
        await settled(http)
        lies = await stored(database, begun["id"])
        assert len(lies.messages) == 12 + 12 + 36
        assert len(lies.not_deleted) == 12 + 36
        for number in range(12):
            own = [each for each in lies.contents if each.startswith(f"{number}b")]
            assert own == [f"{number}b{k}" for k in range(3)]
