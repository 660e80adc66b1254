"""Public links: made, listed, revoked, read without an account, and copied."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from chatvault.app import LINKS_PER_MINUTE
from chatvault.conversations.routes import COMMITS
from chatvault.links import service, snapshot
from chatvault.links.token import PATTERN, hash_token
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.links import KEY, link_to, links_of, open_link, path_of, shown, words
from support.stored import tiny_bounds

SECRET = "hunter's moon"
EVERYTHING = ["system_prompt", "tool_results", "thinking", "metadata"]
PARTS = [
    {"type": "thinking", "text": "THOUGHT", "signature": "SIGNED"},
    {"type": "text", "text": "answer"},
    {"type": "tool_call", "id": "1", "name": "look", "input": {"q": "CALLED"}},
    {"type": "tool_result", "call_id": "1", "output": "RESULT"},
    {"type": "file", "attachment_id": "f", "name": "a.pdf", "text": "FILED", "source_ref": "REF"},
    {"type": "citation", "url": "https://example.org/", "title": "Example"},
    {"type": "raw", "source_type": "x", "value": "RAW"},
]  # fmt: skip
# Words of the conversation below that a link shows by default.
SAID = {"TITLE", "question", "answer"}


async def begin_full(http: HttpClient) -> dict[str, Any]:
    """Begin a conversation with something of everything."""
    return await begin(
        http,
        title="TITLE",
        system_prompt="PROMPT",
        metadata={"own": "METADATA"},
        tags=["TAGGED"],
        messages=[
            message("SYSTEM", "system"),
            message("question", id="IDENTIFIED", own="EXTRA", model="MODEL"),
            message("answer", "assistant", parts=PARTS, metrics={"cost": "METRICS"}),
            message("TOOL", "tool"),
            message("HIDDEN", hidden=True),
        ],
    )


class TestCreate:
    async def test_shows_the_token_once_and_stores_its_hash(
        self, alice: HttpClient, database: Any
    ) -> None:
        conversation = await begin_full(alice)

        made = await link_to(alice, conversation)

        token = made.pop("token")
        assert PATTERN.fullmatch(token)
        assert made.pop("path") == f"/s/{token}"
        assert made["state"] == "open"
        assert await links_of(alice, conversation) == [made]
        [stored] = await database.links.find().to_list()
        assert stored["token_hash"] == hash_token(token)
        for name in await database.list_collection_names():
            for document in await database[name].find().to_list():
                assert token not in str(document), name

    async def test_lasts_thirty_days_unless_said_otherwise(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        for wanted, days in (({}, 30), ({"expires_in_days": 7}, 7)):
            made = await link_to(alice, conversation, **wanted)
            begun, ended = map(datetime.fromisoformat, (made["created_at"], made["expires_at"]))
            assert ended - begun == timedelta(days=days)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"include": ["everything"]}, {"expires_in_days": 0}, {"expires_in_days": 366},
            {"password": "short"}, {"mode": "other"},
            {"mode": "live", "up_to": "m"},
        ],
        ids=str,
    )  # fmt: skip
    async def test_refuses_what_is_wrong(
        self, alice: HttpClient, database: Any, wrong: dict[str, Any]
    ) -> None:
        answer = await alice.post(path_of(await begin(alice)), json=wrong)

        await problem(answer, 422, "invalid_input")
        assert await database.link_parts.count_documents({}) == 0

    async def test_answers_a_repeat_without_the_token(
        self, alice: HttpClient, database: Any
    ) -> None:
        path = path_of(await begin_full(alice))
        first = await (await alice.post(path, json={}, headers=KEY)).json()

        again = await alice.post(path, json={}, headers=KEY)

        assert again.status == 201
        assert await again.json() == {**first, "token": None, "path": None}
        assert await database.links.count_documents({}) == 1
        other = await alice.post(path, json={"expires_in_days": 1}, headers=KEY)
        await problem(other, 422, "idempotency_key_reused")

    async def test_is_limited(
        self, alice: HttpClient, constants: pytest.MonkeyPatch, database: Any
    ) -> None:
        conversation = await begin(alice, messages=[message(str(n), id=f"m{n}") for n in range(4)])
        constants.setattr(snapshot, "MAX_MESSAGES", 3)
        refused = await alice.post(path_of(conversation), json={})
        await problem(refused, 413, "link_too_long")
        assert await database.link_parts.count_documents({}) == 0
        made = await link_to(alice, conversation, up_to="m2")
        assert await words(alice, made["token"]) == ["0", "1", "2"]

        constants.setattr(service, "MAX_LINKS", 1)
        refused = await alice.post(path_of(conversation), json={"up_to": "m2"})
        await problem(refused, 409, "too_many_links")

    async def test_is_limited_by_the_minute(self, alice: HttpClient, bob: HttpClient) -> None:
        path = path_of(await begin(alice))
        answers = [await alice.post(path, json={}) for _ in range(LINKS_PER_MINUTE + 1)]
        await problem(answers[-1], 429, "too_many_requests")
        await link_to(bob, await begin(bob))

    async def test_needs_a_message_that_exists(self, alice: HttpClient, database: Any) -> None:
        refused = await alice.post(path_of(await begin_full(alice)), json={"up_to": "nothing"})
        await problem(refused, 404, "not_found")
        assert await database.link_parts.count_documents({}) == 0

    async def test_changes_neither_version_nor_time(self, alice: HttpClient) -> None:
        conversation = await begin_full(alice)
        path = f"/conversations/{conversation['id']}"
        before = await alice.get(path)
        await link_to(alice, conversation)
        after = await alice.get(path)
        assert after.headers["ETag"] == before.headers["ETag"]
        assert await after.json() == await before.json()

    async def test_is_a_snapshot_of_one_moment(
        self, alice: HttpClient, constants: pytest.MonkeyPatch, database: Any
    ) -> None:
        """An edit while the parts are written makes it begin again."""
        conversation = await begin(alice, messages=[message("before", id="m")])
        path, write, edits = (
            f"/conversations/{conversation['id']}",
            snapshot.SnapshotWriter.write,
            0,
        )

        async def write_and_edit(*args: Any) -> None:
            nonlocal edits
            await write(*args)
            if not edits:
                edits += 1
                await alice.patch(f"{path}/messages/m", json={"content": "after"})

        constants.setattr(snapshot.SnapshotWriter, "write", write_and_edit)
        made = await link_to(alice, conversation)

        assert await words(alice, made["token"]) == ["after"]
        assert await database.link_parts.count_documents({}) == 2


class TestContent:
    @pytest.mark.parametrize(
        ("include", "more"),
        [
            ([], ""),
            (["thinking"], "THOUGHT"),
            (["tool_results"], "CALLED RESULT TOOL"),
            (["system_prompt"], "PROMPT SYSTEM"),
            (["metadata"], "METADATA TAGGED EXTRA MODEL METRICS"),
        ],
        ids=str,
    )
    async def test_has_nothing_that_was_not_asked_for(
        self, alice: HttpClient, http: HttpClient, include: list[str], more: str
    ) -> None:
        made = await link_to(alice, await begin_full(alice), include=include)

        text = await (await open_link(http, made["token"])).text()

        everything = SAID | {
            "THOUGHT", "SIGNED", "CALLED", "RESULT", "TOOL", "PROMPT", "SYSTEM", "METADATA",
            "TAGGED", "EXTRA", "MODEL", "METRICS", "FILED", "REF", "RAW", "HIDDEN", "IDENTIFIED",
        }  # fmt: skip
        assert {word for word in everything if word in text} == SAID | {*more.split()}
        assert "a.pdf" in text
        assert "https://example.org/" in text
        assert alice.make_url("/").host is not None
        for secret in ("user_id", "conversation_id", "alice"):
            assert secret not in text

    async def test_stays_as_it_was(self, alice: HttpClient, http: HttpClient) -> None:
        conversation = await begin(alice, title="Then", messages=[message("then", id="m")])
        made = await link_to(alice, conversation)
        path = f"/conversations/{conversation['id']}"
        await alice.patch(f"{path}/messages/m", json={"content": "now"})
        await alice.post(f"{path}/messages", json=message("later"))
        await alice.patch(path, json={"title": "Now"})

        page = await shown(http, made["token"])

        assert page["title"] == "Then"
        assert [each["content"] for each in page["messages"]] == ["then"]

    async def test_is_the_branch_that_is_shown(self, alice: HttpClient) -> None:
        conversation = await begin(alice, messages=[
            message("a", id="a"), message("b", id="b"), message("c", id="c", parent_id="a"),
        ])  # fmt: skip
        made = await link_to(alice, conversation)
        assert await words(alice, made["token"]) == ["a", "c"]

    async def test_comes_in_pages(
        self, app: web.Application, alice: HttpClient, http: HttpClient, monkeypatch: Any
    ) -> None:
        tiny_bounds(monkeypatch)
        monkeypatch.setattr(snapshot, "PART_LENGTH", 4)
        said = [str(each) for each in range(11)]
        conversation = await begin(alice, messages=[message(each) for each in said])
        await app[COMMITS].drain()
        made = await link_to(alice, conversation)

        assert await words(http, made["token"]) == said
        page = await shown(http, made["token"], page=3)
        assert [each["seq"] for each in page["messages"]] == [8, 9, 10]
        assert (page["total"], page["next"]) == (11, None)
        assert (await shown(http, made["token"], page=99))["messages"] == []

    async def test_of_nothing_is_empty(self, alice: HttpClient, http: HttpClient) -> None:
        made = await link_to(alice, await begin(alice, title="Empty"))
        page = await shown(http, made["token"])
        assert (page["title"], page["messages"], page["next"]) == ("Empty", [], None)


class TestView:
    async def test_has_headers_that_keep_it_out_of_indexes_and_caches(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        made = await link_to(alice, await begin(alice))
        for path in (f"/shared/{made['token']}", "/shared/nothing", f"/s/{made['token']}"):
            answer = await http.get(path, headers={"Accept": "text/html"})
            assert answer.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "private, no-store"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'") or path.startswith("/s/")
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_is_counted_and_recorded_without_the_token(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation)
        await shown(http, made["token"])
        await asyncio.gather(*(shown(http, made["token"]) for _ in range(4)))
        await shown(http, made["token"], page=2)

        [listed] = await links_of(alice, conversation)
        assert listed["views"] == 5
        assert listed["last_viewed_at"] is not None
        entries = await database.audit_logs.find({"action": "link.view"}).to_list()
        assert [each["resource_id"] for each in entries] == [made["id"]] * 6
        assert {each["user_id"] for each in entries} == {None}
        assert made["token"] not in str(entries)

    async def test_knows_who_may_copy(self, alice: HttpClient, http: HttpClient) -> None:
        made = await link_to(alice, await begin(alice))
        assert (await shown(alice, made["token"]))["may_copy"] is True
        assert (await shown(http, made["token"]))["may_copy"] is False


class TestPassword:
    async def test_opens_the_link(self, alice: HttpClient, http: HttpClient, database: Any) -> None:
        secret = "schönes Geheimnis"
        made = await link_to(alice, await begin_full(alice), password=secret)
        assert made["has_password"] is True
        assert secret not in str(await database.links.find().to_list())

        missing = await open_link(http, made["token"])
        await problem(missing, 403, "link_password_required")
        wrong = await open_link(http, made["token"], password="another one")
        await problem(wrong, 403, "wrong_link_password")
        opened = await open_link(http, made["token"], password=secret)
        assert opened.status == 200
        page = await opened.json()
        again = await open_link(http, made["token"], link_pass=page["link_pass"])
        assert (await again.json())["title"] == "TITLE"

    async def test_passes_are_of_one_link(self, alice: HttpClient, http: HttpClient) -> None:
        conversation = await begin(alice)
        one, two = [await link_to(alice, conversation, password=SECRET) for _ in range(2)]
        answer = await open_link(http, one["token"], password=SECRET)
        given = (await answer.json())["link_pass"]

        for wrong in (given, given[:-1] + "x", "", "9999999999.", "x." + given):
            refused = await open_link(http, two["token"], link_pass=wrong)
            await problem(refused, 403, "link_password_required")

    async def test_passes_expire(
        self, alice: HttpClient, http: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        made = await link_to(alice, await begin(alice), password=SECRET)
        constants.setattr("chatvault.links.passes.LIFETIME_SECONDS", -1)
        answer = await open_link(http, made["token"], password=SECRET)
        late = (await answer.json())["link_pass"]
        await problem(
            await open_link(http, made["token"], link_pass=late), 403, "link_password_required"
        )


class TestRevoke:
    async def test_ends_one_and_removes_its_snapshot(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        conversation = await begin_full(alice)
        one, two = [await link_to(alice, conversation, password=SECRET) for _ in range(2)]

        for _ in range(2):
            assert (await alice.delete(f"/links/{one['id']}")).status == 204

        await problem(await open_link(http, one["token"]), 404, "not_found")
        assert (await open_link(http, two["token"], password=SECRET)).status == 200
        states = {each["id"]: each["state"] for each in await links_of(alice, conversation)}
        assert states == {one["id"]: "revoked", two["id"]: "open"}
        ids = {each["link_id"] for each in await database.link_parts.find().to_list()}
        assert {str(each) for each in ids} == {two["id"]}

    async def test_ends_all_of_a_conversation_or_of_mine(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient, database: Any
    ) -> None:
        first, second, his = [await begin(each) for each in (alice, alice, bob)]
        made = [await link_to(alice, each) for each in (first, first, second)]
        other = await link_to(bob, his)

        answer = await alice.delete(path_of(first))
        assert await answer.json() == {"revoked_count": 2, "message": "Revoked 2 links"}
        statuses = [(await open_link(http, each["token"])).status for each in made]
        assert statuses == [404, 404, 200]
        answer = await alice.delete("/links")
        assert (await answer.json())["revoked_count"] == 1
        listed = await (await alice.get("/links")).json()
        assert [each["state"] for each in listed] == ["revoked"] * 3
        assert (await open_link(http, other["token"])).status == 200
        assert await database.link_parts.count_documents({}) == 1


class TestFork:
    async def test_makes_ones_own_copy(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        source = await begin_full(alice)
        made = await link_to(alice, source, include=EVERYTHING)

        answer = await bob.post(f"/shared/{made['token']}/fork", json={}, headers=KEY)

        assert answer.status == 201, await answer.text()
        copy = await answer.json()
        assert copy["title"] == "TITLE"
        assert copy["system_prompt"] == "PROMPT"
        assert copy["metadata"] == {"forked_from": {"link_id": made["id"]}}
        said = [each["content"] for each in copy["messages"]]
        assert said == ["SYSTEM", "question", "answer", "TOOL"]
        assert "file" not in {part["type"] for part in copy["messages"][2]["parts"]}
        found = await bob.get(f"/conversations/{copy['id']}")
        assert (await found.json())["messages"] == copy["messages"]
        again = await bob.post(f"/shared/{made['token']}/fork", json={}, headers=KEY)
        assert (await again.json())["id"] == copy["id"]
        for name in await database.list_collection_names():
            for document in await database[name].find().to_list():
                assert made["token"] not in str(document), name

    async def test_outlives_the_link(self, alice: HttpClient, bob: HttpClient) -> None:
        source = await begin(alice, messages=[message("a")])
        made = await link_to(alice, source)
        answer = await bob.post(f"/shared/{made['token']}/fork", json={"title": "Mine"})
        copy = await answer.json()
        await alice.delete(f"/conversations/{source['id']}?permanent=true")

        found = await bob.get(f"/conversations/{copy['id']}")
        assert (await found.json())["title"] == "Mine"
        gone = await bob.post(f"/shared/{made['token']}/fork", json={})
        await problem(gone, 404, "not_found")

    async def test_needs_the_password(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await link_to(alice, await begin(alice), password=SECRET)
        path = f"/shared/{made['token']}/fork"
        await problem(await bob.post(path, json={}), 403, "link_password_required")
        opened = await bob.post(path, json={}, headers={"Link-Password": SECRET})
        assert opened.status == 201


class TestExpiry:
    async def test_ends_a_link(self, alice: HttpClient, http: HttpClient, database: Any) -> None:
        made = await link_to(alice, await begin(alice))
        past = datetime.now(UTC) - timedelta(seconds=1)
        await database.links.update_many({}, {"$set": {"expires_at": past}})

        await problem(await open_link(http, made["token"]), 404, "not_found")

        [listed] = await (await alice.get("/links")).json()
        assert listed["state"] == "expired"

    async def test_lets_mongodb_remove_the_snapshot(self, alice: HttpClient, database: Any) -> None:
        made = await link_to(alice, await begin_full(alice))
        expires_at = datetime.fromisoformat(made["expires_at"])
        parts = await database.link_parts.find().to_list()
        assert {each["expires_at"] for each in parts} == {expires_at}
        indexes = await database.link_parts.index_information()
        assert indexes["expiry"]["expireAfterSeconds"] == 0
