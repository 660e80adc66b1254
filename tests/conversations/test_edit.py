"""Editing, removing and regenerating single messages, in the tail and in segments."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId

from chatvault.conversations.routes import COMMITS
from conftest import HttpClient
from support.answers import INSTANT, found, problem, wrong_fields
from support.factories import begin, message
from support.stored import stored, tiny_bounds

MINIMAL = {"Prefer": "return=minimal"}
# In a segment and in the tail, with tiny bounds.
PLACES = ["m0", "m4", "m5", "m9", "m11"]


def at(conversation: dict[str, Any], suffix: str = "") -> str:
    return f"/conversations/{conversation['id']}/messages{suffix}"


async def audited(database: Any, action: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = await database["audit_logs"].find({"action": action}).to_list()
    return entries


@pytest.fixture
async def long(
    http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Twelve messages, most of them in segments; the last one is an assistant's."""
    tiny_bounds(constants)
    roles = ["user", "assistant"]
    begun = await begin(
        alice, messages=[message(str(n), roles[n % 2], id=f"m{n}", mood=n) for n in range(12)]
    )
    assert http.app is not None
    await http.app[COMMITS].drain()
    return begun


class TestEdit:
    @pytest.mark.parametrize("message_id", PLACES)
    async def test_changes_the_named_fields_only(
        self, alice: HttpClient, long: dict[str, Any], database: Any, message_id: str
    ) -> None:
        before = await (await alice.get(at(long, f"/{message_id}"))).json()
        answer = await alice.patch(at(long, f"/{message_id}"), json={"content": "edited"})
        edited = await answer.json()

        assert answer.status == 200
        assert answer.headers["ETag"] == f'"{edited["seq"]}.2"'
        assert edited == before | {"content": "edited", "version": 2}
        again = await alice.get(at(long, f"/{message_id}"))
        assert (await again.json(), again.headers["ETag"]) == (edited, f'"{edited["seq"]}.2"')
        shown = await found(alice, long["id"])
        assert shown["messages"][edited["seq"]] == edited
        assert shown["version"] == long["version"] + 1
        assert shown["updated_at"] >= long["updated_at"]
        assert [each["seq"] for each in shown["messages"]] == list(range(12))
        await stored(database, long["id"])
        [entry] = await audited(database, "conversation.edit_message")
        told = {"version": shown["version"], "first_seq": edited["seq"], "count": 1}
        assert (entry["resource_id"], entry["details"]) == (long["id"], told)

    async def test_removes_a_field_by_null(self, alice: HttpClient) -> None:
        full = message("x", "assistant", id="a", model="m", metrics={"t": 1}, cancelled=True)
        begun = await begin(alice, messages=[full])
        path = at(begun, "/a")
        edited = await (await alice.patch(path, json={"model": None, "metrics": {"u": 2}})).json()
        assert "model" not in edited
        assert (edited["metrics"], edited["cancelled"], edited["content"]) == ({"u": 2}, True, "x")

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"role": "system"}, ["body", "role"]),
            ({"id": "other"}, ["body", "id"]),
            ({"content": 7}, ["body", "content"]),
            ({"version": "x"}, ["body", "version"]),
            ({"content": None}, ["body"]),
        ],
    )
    async def test_names_the_wrong_field_and_changes_nothing(
        self, alice: HttpClient, long: dict[str, Any], wrong: dict[str, Any], where: list[str]
    ) -> None:
        answer = await alice.patch(at(long, "/m0"), json=wrong)
        assert await wrong_fields(answer) == [where]
        assert await found(alice, long["id"]) == long

    @pytest.mark.parametrize("message_id", ["nothere", "m0.content", "$", "x" * 65])
    async def test_answers_404_for_an_unknown_message(
        self, alice: HttpClient, long: dict[str, Any], message_id: str
    ) -> None:
        path = at(long, f"/{message_id}")
        for answer in (
            await alice.get(path),
            await alice.patch(path, json={"content": "x"}),
            await alice.delete(path),
        ):
            await problem(answer, 404, "not_found")
        assert await found(alice, long["id"]) == long

    async def test_leaves_a_revision_for_each_of_twenty_concurrent_ones(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        edits = [alice.patch(at(long, "/m2"), json={"content": str(n)}) for n in range(20)]
        answers = await asyncio.gather(*edits)
        assert {answer.status for answer in answers} == {200}
        versions = sorted([(await answer.json())["version"] for answer in answers])
        assert versions == list(range(2, 22))
        revisions = await (await alice.get(at(long, "/m2/revisions"))).json()
        assert [each["version"] for each in revisions] == list(range(1, 21))
        current = await (await alice.get(at(long, "/m2"))).json()
        texts = [each["message"]["content"] for each in revisions] + [current["content"]]
        assert texts[0] == "2"
        assert sorted(texts[1:]) == sorted(str(n) for n in range(20))
        await stored(database, long["id"])


class TestEditThatSplitsASegment:
    """An edit that lets a segment grow so far that it is spread over several."""

    @pytest.fixture(autouse=True)
    def narrow(self, constants: pytest.MonkeyPatch) -> None:
        constants.setattr("chatvault.conversations.commits.segment_writes.SEGMENT_HARD_BYTES", 2000)
        constants.setattr("chatvault.conversations.segments.MAX_BYTES", 1000)

    @pytest.mark.parametrize("named", [True, False])
    async def test_is_stored_once(
        self, alice: HttpClient, long: dict[str, Any], database: Any, *, named: bool
    ) -> None:
        path = at(long, "/m1")
        tag = (await alice.get(path)).headers["ETag"]
        headers = {"If-Match": tag} if named else {}

        answer = await alice.patch(path, json={"content": "x" * 3000}, headers=headers)

        assert answer.status == 200, await answer.text()
        assert (await answer.json())["version"] == 2
        revisions = await (await alice.get(path + "/revisions")).json()
        assert [each["message"]["content"] for each in revisions] == ["1"]
        assert len(await audited(database, "conversation.edit_message")) == 1
        lies = await stored(database, long["id"])
        assert lies.contents[:4] == ["0", "x" * 3000, "2", "3"]
        assert lies.document["version"] == long["version"] + 1

    async def test_is_stored_once_among_many_at_once(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        edits = [
            alice.patch(at(long, f"/m{n}"), json={"content": str(n) * 900, "version": 1})
            for n in range(12)
        ]
        assert {answer.status for answer in await asyncio.gather(*edits)} == {200}
        lies = await stored(database, long["id"])
        assert lies.contents == [str(n) * 900 for n in range(12)]
        assert {each["version"] for each in lies.not_deleted.values()} == {2}
        assert await database["revisions"].count_documents({}) == 12


class TestVersion:
    @pytest.mark.parametrize("message_id", ["m1", "m11"])
    async def test_may_be_required_by_if_match_or_in_the_body(
        self, alice: HttpClient, long: dict[str, Any], message_id: str
    ) -> None:
        path = at(long, f"/{message_id}")
        tag = (await alice.get(path)).headers["ETag"]
        edited = await alice.patch(path, json={"content": "1"}, headers={"If-Match": tag})
        assert edited.status == 200
        stale = await alice.patch(path, json={"content": "2"}, headers={"If-Match": tag})
        await problem(stale, 412, "stale_version")
        stale = await alice.patch(path, json={"content": "2", "version": 1})
        await problem(stale, 412, "stale_version")
        await problem(await alice.delete(path, headers={"If-Match": tag}), 412, "stale_version")
        edited = await alice.patch(path, json={"content": "3", "version": 2})
        assert edited.status == 200
        third = edited.headers["ETag"]
        assert (await alice.delete(path, headers={"If-Match": third})).status == 204

    async def test_lets_one_of_many_edits_win(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        edits = [
            alice.patch(at(long, "/m3"), json={"content": str(n), "version": 1}) for n in range(10)
        ]
        statuses = [answer.status for answer in await asyncio.gather(*edits)]
        assert sorted(statuses) == [200] + [412] * 9

    @pytest.mark.parametrize("count", [1, 30])
    async def test_is_not_reused_after_all_messages_were_replaced(
        self, alice: HttpClient, long: dict[str, Any], count: int
    ) -> None:
        path = at(long, "/m3")
        tag = (await alice.get(path)).headers["ETag"]
        other = [message(f"other {n}", id=f"m{3 + n}") for n in range(count)]
        put = await alice.put(f"/conversations/{long['id']}", json={"messages": other})
        assert put.status == 200, await put.text()

        again = await alice.get(path)
        assert (await again.json())["content"] == "other 0"
        assert again.headers["ETag"] != tag
        for stale in (
            await alice.patch(path, json={"content": "lost"}, headers={"If-Match": tag}),
            await alice.delete(path, headers={"If-Match": tag}),
            await alice.patch(path, json={"content": "lost"}, headers={"If-Match": '"1"'}),
        ):
            await problem(stale, 412, "stale_version")
        headers = {"If-Match": f'"nonsense", {again.headers["ETag"]}'}
        assert (await alice.patch(path, json={"content": "x"}, headers=headers)).status == 200

    async def test_is_not_reused_if_the_id_is_used_again(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        path = at(long, "/m3")
        tag = (await alice.get(path)).headers["ETag"]
        await alice.put(f"/conversations/{long['id']}", json={"messages": []})
        await alice.post(at(long), json=message("other", id="m3"))
        stale = await alice.patch(path, json={"content": "lost"}, headers={"If-Match": tag})
        await problem(stale, 412, "stale_version")

    async def test_is_not_the_conversations_etag(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        await alice.put(f"/conversations/{long['id']}", json={"title": "x"})
        answer = await alice.patch(
            at(long, "/m3"), json={"content": "x"}, headers={"If-Match": '"2"'}
        )
        await problem(answer, 412, "stale_version")


class TestRemove:
    @pytest.mark.parametrize("message_id", PLACES)
    async def test_keeps_the_place_and_removes_the_content(
        self, alice: HttpClient, long: dict[str, Any], database: Any, message_id: str
    ) -> None:
        path = at(long, f"/{message_id}")
        await alice.patch(path, json={"content": "secret"})
        assert (await alice.delete(path)).status == 204

        lies = await stored(database, long["id"])
        seq = int(message_id[1:])
        assert lies.messages[seq] == {"id": message_id, "deleted": True}
        assert await database["revisions"].count_documents({}) == 0
        shown = await found(alice, long["id"])
        assert shown["total_messages"] == len(shown["messages"]) == 11
        assert [each["seq"] for each in shown["messages"]] == [n for n in range(12) if n != seq]
        assert shown["messages_truncated"] is False
        await problem(await alice.get(path), 404, "not_found")
        await problem(await alice.delete(path), 404, "not_found")
        assert await (await alice.get(path + "/revisions")).json() == []
        assert len(await audited(database, "conversation.delete_message")) == 2

    @pytest.mark.parametrize("message_id", PLACES)
    async def test_does_not_free_the_id(
        self, alice: HttpClient, long: dict[str, Any], database: Any, message_id: str
    ) -> None:
        await alice.delete(at(long, f"/{message_id}"))
        number = int(message_id[1:])
        retry = message(str(number), ["user", "assistant"][number % 2], id=message_id, mood=number)
        await problem(await alice.post(at(long), json=retry), 409, "message_id_taken")
        batch = {"messages": [message("new"), retry]}
        await problem(await alice.post(at(long, ":batch"), json=batch), 409, "message_id_taken")
        lies = await stored(database, long["id"])
        assert len(lies.messages) == 12
        assert lies.messages[number] == {"id": message_id, "deleted": True}

    async def test_of_all_leaves_a_usable_empty_conversation(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        removals = [alice.delete(at(long, f"/m{n}")) for n in range(12)]
        assert {answer.status for answer in await asyncio.gather(*removals)} == {204}
        shown = await found(alice, long["id"])
        assert (shown["messages"], shown["total_messages"]) == ([], 0)
        assert shown["messages_truncated"] is False
        page = await (await alice.get(at(long))).json()
        assert page == {
            "messages": [],
            "pagination": {"total": 0, "limit": 50, "offset": 0, "hasMore": False},
        }
        appended = await (await alice.post(at(long), json=message("on"))).json()
        assert [each["seq"] for each in appended["messages"]] == [12]
        await stored(database, long["id"])

    async def test_lets_one_of_many_removals_win(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        removals = [alice.delete(at(long, "/m3")) for _ in range(10)]
        statuses = [answer.status for answer in await asyncio.gather(*removals)]
        assert sorted(statuses) == [204] + [404] * 9
        assert (await stored(database, long["id"])).document["total_messages"] == 11


class TestRevisions:
    async def test_are_earlier_versions_oldest_first(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        before = await (await alice.get(at(long, "/m2"))).json()
        for text in ("second", "third"):
            await alice.patch(at(long, "/m2"), json={"content": text})
        revisions = await (await alice.get(at(long, "/m2/revisions"))).json()
        assert [each["version"] for each in revisions] == [1, 2]
        assert revisions[0]["message"] == before
        assert revisions[1]["message"] == before | {"content": "second", "version": 2}
        assert all(INSTANT.fullmatch(each["replaced_at"]) for each in revisions)

    async def test_are_separate_if_a_put_brings_a_message_in_again(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        for round_number in range(3):
            edited = await alice.patch(at(long, "/m2"), json={"content": f"e{round_number}"})
            assert edited.status == 200, await edited.text()
            shown = await found(alice, long["id"])
            put = await alice.put(
                f"/conversations/{long['id']}", json={"messages": shown["messages"]}
            )
            assert put.status == 200
        revisions = await (await alice.get(at(long, "/m2/revisions"))).json()
        assert [each["message"]["content"] for each in revisions] == ["2", "e0", "e1"]

    async def test_are_not_found_for_strangers(
        self, alice: HttpClient, bob: HttpClient, long: dict[str, Any]
    ) -> None:
        await alice.patch(at(long, "/m2"), json={"content": "x"})
        await problem(await bob.get(at(long, "/m2/revisions")), 404, "not_found")


class TestReplaces:
    async def test_puts_the_new_answer_in_place_of_the_last(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        new = message("again", "assistant", replaces="m11", model="other")
        answer = await alice.post(at(long), json=new)
        shown = await answer.json()
        assert answer.status == 200
        assert shown["total_messages"] == 12
        last = shown["messages"][-1]
        assert (last["id"], last["seq"], last["content"]) == ("m11", 11, "again")
        assert (last["version"], last["model"]) == (2, "other")
        assert "mood" not in last
        assert "replaces" not in last
        [revision] = await (await alice.get(at(long, "/m11/revisions"))).json()
        assert revision["message"] == long["messages"][-1]
        [entry] = await audited(database, "conversation.replace_message")
        assert entry["resource_id"] == long["id"]
        await stored(database, long["id"])

    async def test_answers_the_new_message_if_minimal_is_preferred(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        new = message("again", "assistant", replaces="m11")
        body = await (await alice.post(at(long), json=new, headers=MINIMAL)).json()
        assert (body["message"]["id"], body["message"]["content"]) == ("m11", "again")
        assert (body["total_messages"], body["version"]) == (12, long["version"] + 1)

    @pytest.mark.parametrize("replaced", ["m10", "m1", "nothere"])
    async def test_refuses_to_replace_an_earlier_message(
        self, alice: HttpClient, long: dict[str, Any], replaced: str
    ) -> None:
        new = message("again", "assistant", replaces=replaced)
        await problem(await alice.post(at(long), json=new), 409, "not_last_answer")
        assert await found(alice, long["id"]) == long

    async def test_refuses_to_replace_a_users_message(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        await alice.post(at(long), json=message("q", id="q"))
        new = message("again", "assistant", replaces="q")
        await problem(await alice.post(at(long), json=new), 409, "not_last_answer")

    async def test_refuses_a_message_that_is_no_answer(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        answer = await alice.post(at(long), json=message("q", "user", replaces="m11"))
        await problem(answer, 422, "invalid_input")
        assert await found(alice, long["id"]) == long

    async def test_is_refused_in_an_empty_conversation(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        answer = await alice.post(at(begun), json=message("x", "assistant", replaces="m"))
        await problem(answer, 409, "not_last_answer")

    async def test_takes_the_last_message_that_is_not_deleted(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        for number in (11, 10):
            await alice.delete(at(long, f"/m{number}"))
        new = message("again", "assistant", replaces="m9")
        shown = await (await alice.post(at(long), json=new)).json()
        assert [each["content"] for each in shown["messages"]][-2:] == ["8", "again"]
        await stored(database, long["id"])

    async def test_works_if_the_last_message_is_in_a_segment(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        for number in range(4, 12):
            await alice.delete(at(long, f"/m{number}"))
        refused = message("again", "assistant", replaces="m1")
        await problem(await alice.post(at(long), json=refused), 409, "not_last_answer")
        new = message("again", "assistant", replaces="m3")
        answer = await alice.post(at(long), json=new)
        assert answer.status == 200, await answer.text()
        shown = await answer.json()
        assert [each["content"] for each in shown["messages"]] == ["0", "1", "2", "again"]
        await stored(database, long["id"])

    async def test_keeps_both_answers_of_two_at_once(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        posts = [
            alice.post(at(long), json=message(text, "assistant", replaces="m11"))
            for text in ("left", "right")
        ]
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}
        revisions = await (await alice.get(at(long, "/m11/revisions"))).json()
        last = (await found(alice, long["id"]))["messages"][-1]
        texts = [each["message"]["content"] for each in revisions] + [last["content"]]
        assert texts[0] == "11"
        assert set(texts[1:]) == {"left", "right"}

    async def test_makes_one_revision_if_sent_twice_with_an_id(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        new = message("again", "assistant", replaces="m11", id="mine")
        first = await alice.post(at(long), json=new, headers=MINIMAL)
        again = await alice.post(at(long), json=new, headers=MINIMAL)
        assert (first.status, again.status) == (200, 200)
        shown = await first.json()
        assert await again.json() == shown
        assert again.headers["ETag"] == first.headers["ETag"]
        assert (shown["message"]["id"], shown["message"]["sent_id"]) == ("m11", "mine")
        assert len(await (await alice.get(at(long, "/m11/revisions"))).json()) == 1
        entries = await audited(database, "conversation.replace_message")
        entries.sort(key=lambda entry: entry["_id"])
        told = {"version": shown["version"], "first_seq": shown["message"]["seq"]}
        assert [entry["details"] for entry in entries] == [
            {**told, "count": 1},
            {**told, "count": 0, "repeated": 1},
        ]
        await stored(database, long["id"])

    async def test_makes_one_revision_if_sent_many_times_at_once(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        new = message("again", "assistant", replaces="m11", id="mine")
        answers = await asyncio.gather(*(alice.post(at(long), json=new) for _ in range(10)))
        assert {answer.status for answer in answers} == {200}
        assert len(await (await alice.get(at(long, "/m11/revisions"))).json()) == 1

    async def test_recognises_a_repeat_after_later_messages(
        self, alice: HttpClient, long: dict[str, Any], database: Any
    ) -> None:
        new = message("again", "assistant", replaces="m11", id="mine")
        first = await (await alice.post(at(long), json=new, headers=MINIMAL)).json()
        for number in range(12):
            await alice.post(at(long), json=message(str(number)))
        assert await database["segments"].count_documents({"messages.id": "m11"}) == 1
        again = await alice.post(at(long), json=new, headers=MINIMAL)
        assert again.status == 200, await again.text()
        assert (await again.json())["message"] == first["message"]
        assert len(await (await alice.get(at(long, "/m11/revisions"))).json()) == 1

    async def test_recognises_a_repeat_with_the_replaced_ones_id(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        for text in ("one", "one", "two", "two"):
            new = message(text, "assistant", replaces="m11", id="m11")
            answer = await alice.post(at(long), json=new, headers=MINIMAL)
            shown = (await answer.json())["message"]
            assert (shown["content"], "sent_id" in shown) == (text, False)
        revisions = await (await alice.get(at(long, "/m11/revisions"))).json()
        assert [each["message"]["content"] for each in revisions] == ["11", "one"]

    async def test_refuses_other_content_under_the_same_id(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        new = message("again", "assistant", replaces="m11", id="mine")
        await alice.post(at(long), json=new)
        before = await found(alice, long["id"])
        refused = await alice.post(at(long), json=new | {"content": "other"})
        await problem(refused, 409, "message_id_taken")
        assert await found(alice, long["id"]) == before

    async def test_takes_the_same_content_under_another_id_as_another_answer(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        for name in ("one", "two"):
            new = message("again", "assistant", replaces="m11", id=name)
            assert (await alice.post(at(long), json=new)).status == 200
        new = message("again", "assistant", replaces="m11")
        assert (await alice.post(at(long), json=new)).status == 200
        assert len(await (await alice.get(at(long, "/m11/revisions"))).json()) == 3

    async def test_forgets_its_id_when_messages_are_put_back(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        new = message("again", "assistant", replaces="m11", id="mine")
        shown = await (await alice.post(at(long), json=new)).json()
        put = await alice.put(f"/conversations/{long['id']}", json={"messages": shown["messages"]})
        assert "sent_id" not in (await put.json())["messages"][-1]

    async def test_is_refused_among_many(self, alice: HttpClient, long: dict[str, Any]) -> None:
        new = message("again", "assistant", replaces="m11")
        path = f"/conversations/{long['id']}"
        for answer in (
            await alice.post(at(long, ":batch"), json={"messages": [new]}),
            await alice.put(path, json={"messages": [new]}),
            await alice.post("/conversations", json={"messages": [new]}),
        ):
            await problem(answer, 422, "invalid_input")
        assert await found(alice, long["id"]) == long


class TestStrangers:
    @pytest.mark.parametrize(
        ("method", "suffix", "body"),
        [
            ("GET", "", None),
            ("POST", "", message("x")),
            ("POST", "", message("x", "assistant", replaces="m11")),
            ("POST", ":batch", {"messages": [message("x")]}),
            ("GET", "/m0", None),
            ("PATCH", "/m0", {"content": "x"}),
            ("DELETE", "/m0", None),
            ("GET", "/m0/revisions", None),
            ("PATCH", "/m11", {"content": "x"}),
            ("DELETE", "/m11", None),
        ],
    )
    async def test_get_404_on_every_route_and_change_nothing(
        self,
        alice: HttpClient,
        bob: HttpClient,
        long: dict[str, Any],
        method: str,
        suffix: str,
        body: Any,
    ) -> None:
        mine = await begin(bob, messages=[message("mine", id="m0")])
        for headers in ({}, {"Accept": "application/x-ndjson"}, {"Idempotency-Key": "k"}):
            answer = await bob.request(method, at(long, suffix), json=body, headers=headers)
            await problem(answer, 404, "not_found")
        nobodys = f"/conversations/{ObjectId()}/messages{suffix}"
        await problem(await bob.request(method, nobodys, json=body), 404, "not_found")
        assert await found(alice, long["id"]) == long
        assert await found(bob, mine["id"]) == mine
