"""Reading long conversations: whole while they fit, page by page, and in the list."""

import asyncio
import re
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Actor, Door
from chatvault.conversations.lists import service as list_service
from chatvault.conversations.messages import append_service
from chatvault.conversations.reading import consistency, dates, listing, rendering
from chatvault.conversations.reading import pages as reading
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import MessageIn
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.stored import begin_large, stored, tiny_bounds

KILOBYTE = 1024


def at(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}"


def numbered(count: int, *, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [message(str(n), id=f"m{n}", **more) for n in range(start, start + count)]


async def page(http: HttpClient, path: str) -> dict[str, Any]:
    answer = await http.get(path)
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    links = answer.headers.get("Link", "")
    body["links"] = {name: target for target, name in re.findall(r'<([^>]*)>; rel="(\w+)"', links)}
    assert answer.headers["X-Total-Count"] == str(body["pagination"]["total"])
    return body


def contents(body: dict[str, Any]) -> list[str]:
    return [each["content"] for each in body["messages"]]


async def walk(http: HttpClient, path: str, link: str) -> list[dict[str, Any]]:
    """All pages that the link of this name leads to, in the order of reading."""
    pages = []
    while path:
        pages.append(await page(http, path))
        assert len(pages) < 500
        path = pages[-1]["links"].get(link, "") if pages[-1]["messages"] else ""
    return pages


@pytest.fixture
async def long(alice: HttpClient, constants: pytest.MonkeyPatch) -> dict[str, Any]:
    """Forty messages in many segments and a tail."""
    tiny_bounds(constants)
    return await begin(alice, messages=numbered(40))


class TestSince:
    async def test_begins_with_the_first_message_of_a_time(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        constants.setattr(dates, "STEP", 3)
        messages = [
            message(str(n), id=f"m{n}", timestamp=f"2026-03-{n // 2 + 1:02}T10:00:00Z")
            for n in range(40)
        ]
        begun = await begin(alice, messages=messages)
        path = f"{at(begun)}/messages?limit=3&since="
        for gone in (10, 11, 38):
            assert (await alice.delete(f"{at(begun)}/messages/m{gone}")).status == 204

        expected = {
            "2020-01-01T00:00:00Z": ["0", "1", "2"],
            "2026-03-01T10:00:00Z": ["0", "1", "2"],
            "2026-03-01T10:00:00.001Z": ["2", "3", "4"],
            "2026-03-06T00:00:00Z": ["12", "13", "14"],
            "2026-03-07T12:00:00%2B02:00": ["12", "13", "14"],
            "2026-03-20T00:00:00Z": ["39"],
            "2026-03-21T00:00:00Z": [],
        }
        for since, shown in expected.items():
            assert contents(await page(alice, path + since)) == shown, since
        for day in range(1, 21):
            [first] = contents(
                await page(alice, f"{at(begun)}/messages?limit=1&since=2026-03-{day:02}T00:00:00Z")
            )
            assert int(first) == {6: 12, 20: 39}.get(day, 2 * day - 2)

    async def test_continues_by_its_links(self, alice: HttpClient, long: dict[str, Any]) -> None:
        since = long["messages"][0]["timestamp"]
        pages = await walk(alice, f"{at(long)}/messages?limit=7&since={since}", "next")
        shown = [content for each in pages for content in contents(each)]
        assert shown == [str(n) for n in range(40)]

    async def test_is_audited_like_any_page(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        await page(alice, f"{at(long)}/messages?limit=7&since=2026-03-06T00:00:00Z")
        query = {"action": "conversation.list_messages"}
        [entry] = await database.audit_logs.find(query).to_list()
        assert (entry["resource_id"], entry["details"]) == (long["id"], {"messages": 7})

    async def test_cannot_be_combined_with_a_cursor(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        answer = await alice.get(f"{at(long)}/messages?after=3&since=2026-03-06T00:00:00Z")
        assert answer.status == 422
        assert (await alice.get(f"{at(long)}/messages?since=yesterday")).status == 422


class TestWhole:
    async def test_shows_all_messages_that_fit(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=numbered(1500))
        shown = await found(alice, begun["id"])
        assert shown == begun
        assert contents(shown) == [str(n) for n in range(1500)]
        assert [each["seq"] for each in shown["messages"]] == list(range(1500))
        assert (shown["messages_truncated"], shown["total_messages"]) == (False, 1500)

    async def test_marks_and_links_a_truncated_conversation(self, alice: HttpClient) -> None:
        size = 100 * KILOBYTE
        begun = await begin_large(alice, [message(f"{n:3}" + "x" * size) for n in range(60)])
        answer = await alice.get(at(begun))
        shown = await answer.json()
        assert shown == begun
        assert shown["messages_truncated"] is True
        assert shown["total_messages"] == 60
        count = len(shown["messages"])
        assert (count - 1) * size < reading.WHOLE_BYTES
        assert (count + 2) * size > reading.WHOLE_BYTES
        assert [int(each["content"][:3]) for each in shown["messages"]] == list(range(60))[-count:]

        link = re.fullmatch(r'<([^>]*)>; rel="prev"', answer.headers["Link"])
        assert link
        older = await walk(alice, link[1] + "&limit=7", "prev")
        seqs = [each["seq"] for each in reversed(older) for each in each["messages"]]
        assert seqs == list(range(60 - count))

    async def test_shows_all_messages_once_they_fit_again(
        self, alice: HttpClient, long: dict[str, Any], constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(rendering, "WHOLE_BYTES", 500)
        shown = await found(alice, long["id"])
        assert shown["messages_truncated"] is True
        assert 2 <= len(shown["messages"]) < 10
        for number in range(38):
            assert (await alice.delete(f"{at(long)}/messages/m{number}")).status == 204
        shown = await found(alice, long["id"])
        assert (contents(shown), shown["messages_truncated"]) == (["38", "39"], False)

    async def test_reads_little_more_than_it_shows(
        self, http: HttpClient, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await begin(alice, messages=numbered(120))
        constants.setattr(rendering, "WHOLE_BYTES", 400)
        fetched: list[int] = []
        place = consistency.number

        def count(some: list[Any], base: int) -> list[Any]:
            fetched.append(len(some))
            return place(some, base)

        constants.setattr(reading, "number", count)
        shown = await found(alice, begun["id"])
        assert shown["messages_truncated"] is True
        assert 0 < sum(fetched) < 30


class TestList:
    async def test_spends_its_budget_on_the_newest(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        for name in "abcd":
            await begin(alice, title=name, messages=numbered(12))
        [one] = await (await alice.get("/conversations?limit=1")).json()
        constants.setattr(list_service, "LIST_BYTES", 2000)
        constants.setattr(listing, "SURE_BYTES", 0)

        shown = await (await alice.get("/conversations")).json()

        assert one["messages_truncated"] is False
        assert [each["title"] for each in shown] == list("dcba")
        whole = [each["title"] for each in shown if not each["messages_truncated"]]
        assert whole == list("dcba")[: len(whole)]
        assert 0 < len(whole) < 4
        for each in shown:
            assert each["total_messages"] == 12
            texts = contents(each)
            assert texts == [str(n) for n in range(12)][-len(texts) :]
            assert len(texts) == (2 if each["messages_truncated"] else 12)

    async def test_counts_short_conversations_in_the_budget(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        await begin(alice, title="long", messages=numbered(12))
        for number in range(8):
            await begin(alice, title=str(number), messages=numbered(4))
        constants.setattr(list_service, "LIST_BYTES", 2000)
        constants.setattr(listing, "SURE_BYTES", 0)
        *_, last = await (await alice.get("/conversations")).json()
        assert (last["title"], last["messages_truncated"]) == ("long", True)

    async def test_shows_small_conversations_completely(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        for name in "ab":
            await begin(alice, title=name, messages=numbered(12))
        constants.setattr(list_service, "LIST_BYTES", 0)
        shown = await (await alice.get("/conversations")).json()
        assert [len(each["messages"]) for each in shown] == [12, 12]

    async def test_protects_truncated_conversations_from_blind_replacement(
        self, alice: HttpClient
    ) -> None:
        content = "x" * (listing.SURE_BYTES // 2)
        begun = await begin(alice, messages=[message(content), message(content)])
        path = f"/conversations/{begun['id']}"
        body = {"messages": [message("instead")]}

        refused = await alice.put(path, json=body)

        assert refused.status == 428
        assert (await refused.json())["code"] == "precondition_required"
        accepted = await alice.put(path, json=body, headers={"If-Match": '"1"'})
        assert accepted.status == 200
        assert (await accepted.json())["total_messages"] == 1

    async def test_has_a_default_of_eight_megabytes(self, alice: HttpClient) -> None:
        many = [message("x" * 50 * KILOBYTE) for _ in range(64)]
        for _ in range(4):
            await begin_large(alice, many)
        answer = await alice.get("/conversations")
        truncated = [each["messages_truncated"] for each in await answer.json()]
        assert truncated == [False, False, True, True]


class TestByOffset:
    @pytest.mark.parametrize(("offset", "limit"), [(0, 7), (13, 1), (36, 50), (39, 1), (40, 5)])
    async def test_returns_the_requested_page(
        self, alice: HttpClient, long: dict[str, Any], offset: int, limit: int
    ) -> None:
        body = await page(alice, f"{at(long)}/messages?offset={offset}&limit={limit}")
        expected = [str(n) for n in range(40)][offset : offset + limit]
        assert contents(body) == expected
        assert body["pagination"] == {
            "total": 40,
            "limit": limit,
            "offset": offset,
            "hasMore": offset + limit < 40,
        }

    async def test_beyond_the_end_is_an_empty_page(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        body = await page(alice, f"{at(long)}/messages?offset=1000000000")
        assert (body["messages"], body["pagination"]["hasMore"]) == ([], False)

    async def test_removed_messages_do_not_count(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        removed = {0, 1, 2, 5, 9, 10, 11, 12, 20, 38}
        for number in removed:
            assert (await alice.delete(f"{at(long)}/messages/m{number}")).status == 204
        expected = [str(n) for n in range(40) if n not in removed]
        for offset in range(32):
            body = await page(alice, f"{at(long)}/messages?offset={offset}&limit=4")
            assert contents(body) == expected[offset : offset + 4]
            assert body["pagination"]["total"] == 30
            assert body["pagination"]["hasMore"] is (offset + 4 < 30)

    async def test_is_the_default_from_the_oldest(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        body = await page(alice, f"{at(long)}/messages")
        assert contents(body) == [str(n) for n in range(40)]
        assert body["pagination"]["limit"] == 50


class TestByCursor:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 39, 40, 41, 1000])
    async def test_has_no_gap_or_repetition_in_both_directions(
        self, alice: HttpClient, long: dict[str, Any], limit: int
    ) -> None:
        expected = [str(n) for n in range(40)]
        forwards = await walk(alice, f"{at(long)}/messages?after=-1&limit={limit}", "next")
        assert [text for each in forwards for text in contents(each)] == expected
        backwards = await walk(alice, f"{at(long)}/messages?before=latest&limit={limit}", "prev")
        assert [text for each in reversed(backwards) for text in contents(each)] == expected
        assert {each["pagination"]["offset"] for each in forwards + backwards} == {None}

    async def test_finds_a_page_at_every_place(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        for seq in range(-1, 41):
            after = await page(alice, f"{at(long)}/messages?after={seq}&limit=3")
            assert contents(after) == [str(n) for n in range(40)][seq + 1 : seq + 4]
            assert after["pagination"]["hasMore"] is (seq + 4 < 40)
            before = await page(alice, f"{at(long)}/messages?before={seq}&limit=3")
            assert contents(before) == [str(n) for n in range(40) if seq - 3 <= n < seq]
            assert before["pagination"]["hasMore"] is (seq > 3)

    async def test_reads_only_missing_messages_of_a_segment(
        self, http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice, messages=numbered(200))
        assert http.app is not None
        await http.app[COMMITS].drain()
        fetched: list[int] = []
        number = consistency.number

        def count(some: list[Any], base: int) -> list[Any]:
            fetched.append(len(some))
            return number(some, base)

        constants.setattr(reading, "number", count)
        body = await page(alice, f"{at(begun)}/messages?before=latest&limit=20")
        assert contents(body) == [str(n) for n in range(180, 200)]
        assert sum(fetched) == 21  # one more than asked for, to know whether there are more

    async def test_skips_removed_messages(self, alice: HttpClient, long: dict[str, Any]) -> None:
        removed = set(range(3, 30)) | {37, 39}
        for number in removed:
            assert (await alice.delete(f"{at(long)}/messages/m{number}")).status == 204
        expected = [str(n) for n in range(40) if n not in removed]
        for limit in (1, 2, 5):
            forwards = await walk(alice, f"{at(long)}/messages?after=-1&limit={limit}", "next")
            assert [text for each in forwards for text in contents(each)] == expected
            assert all(len(each["messages"]) == limit for each in forwards[:-1])
            backwards = await walk(
                alice, f"{at(long)}/messages?before=latest&limit={limit}", "prev"
            )
            assert [text for each in reversed(backwards) for text in contents(each)] == expected

    async def test_works_with_equal_timestamps(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        same = numbered(20, timestamp="2026-01-01T00:00:00.000Z")
        begun = await begin(alice, messages=same)
        forwards = await walk(alice, f"{at(begun)}/messages?after=-1&limit=3", "next")
        assert [text for each in forwards for text in contents(each)] == [str(n) for n in range(20)]

    async def test_stays_valid_while_messages_arrive(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        newest = await page(alice, f"{at(long)}/messages?before=latest&limit=5")
        seen = contents(newest)
        ahead, behind = newest["links"]["next"], newest["links"]["prev"]
        number = 40
        for _ in range(12):
            for _ in range(3):
                await alice.post(f"{at(long)}/messages", json=message(str(number)))
                number += 1
            if behind:
                older = await page(alice, behind)
                seen = contents(older) + seen
                behind = older["links"].get("prev", "") if older["messages"] else ""
            newer = await page(alice, ahead)
            seen += contents(newer)
            last = newer["messages"][-1]["seq"]
            ahead = newer["links"].get("next", f"{at(long)}/messages?limit=5&after={last}")
        assert not behind
        assert seen == [str(n) for n in range(number)]

    async def test_finds_only_new_messages_after_a_replacement(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        first = await page(alice, f"{at(long)}/messages?after=-1&limit=10")
        await alice.put(
            at(long), json={"messages": numbered(15, start=100)}, headers={"If-Match": '"1"'}
        )
        rest = await walk(alice, first["links"]["next"], "next")
        assert [text for each in rest for text in contents(each)] == [
            str(n) for n in range(100, 115)
        ]
        assert [each["seq"] for each in rest[0]["messages"]] == list(range(40, 50))
        back = await page(alice, f"{at(long)}/messages?before=40")
        assert (back["messages"], back["pagination"]["hasMore"]) == ([], False)

    async def test_has_no_gap_during_writes(
        self, http: HttpClient, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        done = asyncio.Event()

        async def write() -> None:
            for number in range(40, 80):
                await alice.post(f"{at(long)}/messages", json=message(str(number)))
            done.set()

        async def read(query: str) -> None:
            while not done.is_set():
                body = await page(alice, f"{at(long)}/messages?{query}")
                seqs = [each["seq"] for each in body["messages"]]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
                assert contents(body) == [str(seq) for seq in seqs]

        await asyncio.gather(
            write(),
            read("before=latest&limit=9"),
            read("after=33&limit=1000"),
            read("offset=30&limit=40"),
        )


class TestBounds:
    async def test_end_a_page_early_if_its_messages_are_large(
        self, alice: HttpClient, database: Any
    ) -> None:
        size = 600 * KILOBYTE
        begun = await begin_large(alice, [message(f"{n:2}" + "x" * size) for n in range(20)])
        for start, link in (("after=-1", "next"), ("before=latest", "prev"), ("offset=0", "next")):
            pages = await walk(alice, f"{at(begun)}/messages?{start}&limit=1000", link)
            for each in pages[:-1]:
                assert each["pagination"]["hasMore"] is True
                assert 4 <= len(each["messages"]) <= reading.WHOLE_BYTES // size
            every = pages if link == "next" else pages[::-1]
            numbers = [int(text[:2]) for each in every for text in contents(each)]
            assert numbers == list(range(20))

    async def test_give_a_message_larger_than_the_budget_its_own_page(
        self, alice: HttpClient, long: dict[str, Any], constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(reading, "WHOLE_BYTES", 10)
        pages = await walk(alice, f"{at(long)}/messages?after=-1&limit=5", "next")
        assert [contents(each) for each in pages] == [[str(n)] for n in range(40)]

    @pytest.mark.parametrize(
        ("query", "where"),
        [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("offset=-1", "offset"),
            ("before=x", "before"),
            ("after=-2", "after"),
            ("after=latest", "after"),
            ("before=9007199254740993", "before"),
            ("cursor=1", "cursor"),
        ],
    )
    async def test_name_a_wrong_query(
        self, alice: HttpClient, long: dict[str, Any], query: str, where: str
    ) -> None:
        answer = await alice.get(f"{at(long)}/messages?{query}")
        assert await wrong_fields(answer) == [["query", where]]

    @pytest.mark.parametrize("query", ["before=3&after=1", "offset=0&after=1", "offset=1&before=3"])
    async def test_refuse_two_ways_of_paging_at_once(
        self, alice: HttpClient, long: dict[str, Any], query: str
    ) -> None:
        await problem(await alice.get(f"{at(long)}/messages?{query}"), 422, "invalid_input")

    async def test_do_not_find_unknown_and_foreign_conversations(
        self, bob: HttpClient, long: dict[str, Any]
    ) -> None:
        for conversation_id in (long["id"], str(ObjectId()), "x"):
            answer = await bob.get(f"/conversations/{conversation_id}/messages")
            await problem(answer, 404, "not_found")


class TestNewest:
    async def test_are_read_at_once_from_any_number_of_segments(
        self,
        http: HttpClient,
        alice: HttpClient,
        long: dict[str, Any],
        constants: pytest.MonkeyPatch,
    ) -> None:
        assert http.app is not None
        later = []

        async def find(*_: Any, **__: Any) -> None:
            later.append(True)

        # What walks on after the first look at the segments.
        constants.setattr(reading, "window", find)
        for number in range(40, 50):
            await alice.post(f"{at(long)}/messages", json=message(str(number)))
            await http.app[COMMITS].drain()
            for limit in (1, 5, 9, 14):
                body = await page(alice, f"{at(long)}/messages?before=latest&limit={limit}")
                wanted = [str(n) for n in range(number + 1 - limit, number + 1)]
                assert contents(body) == wanted
        assert not later


class TestRaces:
    async def test_an_offset_is_correct_if_messages_move_between_two_reads(
        self,
        http: HttpClient,
        alice: HttpClient,
        long: dict[str, Any],
        database: Any,
        constants: pytest.MonkeyPatch,
    ) -> None:
        await alice.delete(f"{at(long)}/messages/m0")
        for number in (40, 41):
            await alice.post(f"{at(long)}/messages", json=message(str(number)))
        assert http.app is not None
        commits = http.app[COMMITS]
        await commits.drain()
        find_offset = reading._find_offset

        async def overtaken(
            access: Any, store: Any, conversation: Any, offset: int
        ) -> tuple[int, int]:
            for number in range(5):
                await append_service.append(
                    Actor(door=Door.HTTP, user_id=access.owner_id),
                    commits,
                    conversation_id=conversation["_id"],
                    wanted=[MessageIn(role="user", content=f"later{number}")],
                )
            await commits.drain()
            return await find_offset(access, store, conversation, offset)

        constants.setattr(reading, "_find_offset", overtaken)
        for back in (1, 2, 3, 4, 5, 1, 2, 3):
            before = await stored(database, long["id"])
            offset = len(before.contents) - back
            body = await page(alice, f"{at(long)}/messages?offset={offset}&limit=1")
            assert contents(body) == before.contents[offset : offset + 1]

    async def test_the_newest_are_correct_if_the_tail_moves_between_two_reads(
        self, http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice, messages=numbered(60))
        list_segment_ends = MessageStore.list_segment_ends
        assert http.app is not None
        commits = http.app[COMMITS]
        await commits.drain()

        async def overtaken(store: Any, access: Any, generation: Any, **more: int) -> list[Any]:
            wanted = [MessageIn(role="user", content="later") for _ in range(60)]
            owner = Actor(door=Door.HTTP, user_id=access.owner_id)
            await append_service.append(
                owner, commits, conversation_id=ObjectId(begun["id"]), wanted=wanted
            )
            await commits.drain()
            return await list_segment_ends(store, access, generation, **more)

        constants.setattr(MessageStore, "list_segment_ends", overtaken)
        # So few that all that is found of the segment came after the page was begun.
        for limit in (17, 30):
            body = await page(alice, f"{at(begun)}/messages?before=latest&limit={limit}")
            constants.undo()
            now = await page(alice, f"{at(begun)}/messages?after=-1&limit=1000")
            total = body["pagination"]["total"]
            assert contents(body) == contents(now)[total - limit : total]
            assert len(now["messages"]) == total + 60
            constants.setattr(MessageStore, "list_segment_ends", overtaken)
