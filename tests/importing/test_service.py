"""Bringing conversations in: each whole, none twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from chatvault.accounts import service as accounts
from chatvault.actor import Actor, Door
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.models import Conversation
from chatvault.conversations.store import MessageStore
from chatvault.fields import now
from chatvault.importing.conversations import ImportRejected
from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from chatvault.importing.reports import ImportOutcome, OnDuplicate, Report
from chatvault.importing.service import import_file
from chatvault.preferences.models import Preferences
from conftest import HttpClient
from support.exports import SETTINGS, as_stored, exported, shown
from support.factories import begin
from support.imports import deps_of, read
from support.stored import stored as look

BringIn = Callable[..., Awaitable[Report]]


@pytest.fixture
def bring_in(app: web.Application) -> BringIn:
    """Imports a value as a file of its JSON, by a lane of its own as every process has one."""

    async def bring_in(value: Any, username: str = "alice", **options: Any) -> Report:
        user = await accounts.find_by_username(username)
        assert user is not None
        content = read(json.dumps(value).encode(), name="my.json", now=now())
        actor = Actor(door=Door.CLI, user_id=user.id, role=user.role)
        return await import_file(
            actor, deps_of(app, CommitQueue(MessageStore())), content=content, **options
        )

    return bring_in


async def stored(http: HttpClient) -> list[dict[str, Any]]:
    """All conversations with all messages, newest first."""
    listed = await (await http.get("/conversations?limit=200")).json()
    return [await (await http.get(f"/conversations/{each['id']}")).json() for each in listed]


async def counts(database: Any) -> dict[str, int]:
    # The service itself seals what is written, whenever it comes to it.
    names = sorted({*await database.list_collection_names()} - {"audit_blocks"})
    return {name: await database[name].count_documents({}) for name in names}


class TestImport:
    async def test_stores_conversations_unchanged(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        file = [exported(number, messages=number) for number in reversed(range(9))]

        report = await bring_in(file)

        assert report.by_outcome == {ImportOutcome.IMPORTED: 9}
        assert report.messages == sum(range(9))
        assert (report.skipped, report.repaired, report.truncated) == ([], [], False)
        assert [shown(each) for each in await stored(alice)] == [as_stored(each) for each in file]

    async def test_can_be_continued(self, alice: HttpClient, bring_in: BringIn) -> None:
        await bring_in([exported(1)])
        [before] = await stored(alice)
        path = f"/conversations/{before['id']}"
        answer = await alice.post(f"{path}/messages", json={"role": "user", "content": "on"})
        after = await answer.json()
        assert after["messages"][:-1] == before["messages"]
        assert after["messages"][-1]["seq"] == before["messages"][-1]["seq"] + 1
        assert after["version"] == before["version"] + 1

    async def test_can_be_continued_beside_one_huge_message(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        huge = exported(1, messages=1)
        huge["messages"][0]["content"] = "x" * int(7.9 * 1024**2)
        await bring_in([huge])
        [before] = await stored(alice)
        path = f"/conversations/{before['id']}/messages"
        minimal = {"Prefer": "return=minimal"}

        async with asyncio.timeout(30):
            for content in ("y" * 400_000, "small"):
                body = {"role": "user", "content": content}
                answer = await alice.post(path, json=body, headers=minimal)
                assert answer.status == 200, await answer.text()

        lies = await look(database, before["id"])
        assert [len(each) for each in lies.contents] == [int(7.9 * 1024**2), 400_000, 5]
        assert len(lies.segments) == 1

    async def test_lists_conversations_with_future_times_by_the_time_of_import(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        ahead = exported(1) | {"updatedAt": "9999-12-31T23:59:59.999Z", "title": "ahead"}
        born_ahead = ahead | {"id": "born", "createdAt": "9999-12-31T23:59:59.999Z"}
        began = now()

        report = await bring_in([ahead, born_ahead])

        assert len(report.repaired) == 3
        assert all("lies in the future" in each for each in report.repaired)
        for each in await stored(alice):
            assert began <= datetime.fromisoformat(each["updated_at"]) <= now()
            assert datetime.fromisoformat(each["created_at"]) <= now()
        await begin(alice, title="new")
        assert [each["title"] for each in await stored(alice)] == ["new", "ahead", "ahead"]

    async def test_corrects_a_future_time_with_the_next_change(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        await bring_in([exported(1)])
        ahead = datetime(9999, 12, 31, tzinfo=UTC)
        await database.conversations.update_one({}, {"$set": {"updated_at": ahead}})
        [old] = await stored(alice)
        await alice.patch(f"/conversations/{old['id']}", json={"tags": ["seen"]})
        await begin(alice, title="new")
        assert [each["title"] for each in await stored(alice)] == ["new", old["title"]]

    async def test_looks_up_known_conversations_by_an_index(
        self, alice: HttpClient, bring_in: BringIn, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await bring_in([exported(number) for number in range(40)])
        asked: list[Any] = []
        collection = Conversation.get_pymongo_collection()
        find = type(collection).find

        def watched(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            if self.name == "conversations" and "source" in str(query) and "$in" in str(query):
                asked.append(query)
            return find(self, query, *args, **options)

        monkeypatch.setattr(type(collection), "find", watched)
        await bring_in([exported(40)], on_duplicate=OnDuplicate.REPLACE)
        monkeypatch.undo()

        assert asked
        for query in asked:
            plan = await database.conversations.find(query).explain()
            assert plan["executionStats"]["totalDocsExamined"] <= 1
            assert "source_unique" in str(plan["queryPlanner"]["winningPlan"])

    async def test_imports_nothing_twice(self, alice: HttpClient, bring_in: BringIn) -> None:
        await bring_in([exported(number) for number in range(3)])
        before = await stored(alice)

        report = await bring_in([exported(number) for number in range(5)])

        assert report.by_outcome == {ImportOutcome.SKIPPED: 3, ImportOutcome.IMPORTED: 2}
        assert report.messages == 8
        after = await stored(alice)
        assert len(after) == 5
        assert all(each in after for each in before)

    async def test_imports_nothing_twice_if_concurrent(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        file = [exported(number) for number in range(150)]

        reports = await asyncio.gather(*(bring_in(file) for _ in range(3)))

        assert sum(report.by_outcome[ImportOutcome.IMPORTED] for report in reports) == 150
        assert sum(report.by_outcome[ImportOutcome.SKIPPED] for report in reports) == 300
        answer = await alice.get("/conversations/stats/count")
        assert await answer.json() == {"count": 150}
        entries = {"action": "conversation.import"}
        assert await database["audit_logs"].count_documents(entries) == 150

    async def test_restores_deleted_conversations_on_request(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        await bring_in([exported(1)])
        await alice.delete("/conversations")
        assert (await bring_in([exported(1)])).by_outcome == {ImportOutcome.DELETED_HERE: 1}
        restored = await bring_in([exported(1)], restore_deleted=True)
        assert restored.by_outcome == {ImportOutcome.IMPORTED: 1}

    async def test_accepts_the_same_file_from_two_users(
        self, alice: HttpClient, bob: HttpClient, bring_in: BringIn
    ) -> None:
        file = [exported(1), exported(0)]
        for username in ("alice", "bob"):
            assert (await bring_in(file, username)).by_outcome == {ImportOutcome.IMPORTED: 2}
        hers, his = await stored(alice), await stored(bob)
        assert [shown(each) for each in hers] == [shown(each) for each in his]
        assert {each["id"] for each in hers}.isdisjoint(each["id"] for each in his)

    async def test_leaves_an_entry_for_each_and_one_for_the_import(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        await bring_in([exported(1), exported(2)])
        entries = await database["audit_logs"].find({"action": "conversation.import"}).to_list()
        ids = sorted(each["id"] for each in await stored(alice))
        assert sorted(entry["resource_id"] for entry in entries) == ids
        assert {entry["door"] for entry in entries} == {"cli"}
        whole = await database["audit_logs"].find_one({"action": "import.run"})
        assert whole["details"] == {"imported": 2}


class TestOnDuplicate:
    async def test_replace_restores_the_files_state(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        await bring_in([exported(1), exported(0)])
        before = await stored(alice)
        path = f"/conversations/{before[0]['id']}"
        await alice.put(path, json={"title": "Changed", "metadata": {}})
        await alice.post(f"{path}/messages", json={"role": "user", "content": "more"})

        report = await bring_in(
            [exported(1, messages=6), exported(2)], on_duplicate=OnDuplicate.REPLACE
        )

        assert report.by_outcome == {ImportOutcome.REPLACED: 1, ImportOutcome.IMPORTED: 1}
        after = {each["id"]: each for each in await stored(alice)}
        assert len(after) == 3
        expected = as_stored(exported(1, messages=6))
        replaced = shown(after[before[0]["id"]])
        for name in ("title", "messages", "metadata", "created_at", "total_messages"):
            assert replaced[name] == expected[name]
        assert after[before[0]["id"]]["version"] > before[0]["version"]
        assert after[before[1]["id"]] == before[1]

    async def test_copy_keeps_the_stored_conversation(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        await bring_in([exported(1)])
        [before] = await stored(alice)

        for copies in (1, 2):
            file = [exported(1), exported(copies + 1)]
            report = await bring_in(file, on_duplicate=OnDuplicate.COPY)
            assert report.by_outcome == {ImportOutcome.COPIED: 1, ImportOutcome.IMPORTED: 1}

        after = await stored(alice)
        assert before in after
        assert [shown(each) for each in after].count(as_stored(exported(1))) == 3
        assert len(after) == 5

    async def test_a_conversation_of_ones_own_is_no_duplicate(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        own = await begin(alice, title="About 1")
        report = await bring_in([exported(1)], on_duplicate=OnDuplicate.REPLACE)
        assert report.by_outcome == {ImportOutcome.IMPORTED: 1}
        assert own in await stored(alice)


class TestDryRun:
    @pytest.mark.parametrize("on_duplicate", list(OnDuplicate))
    async def test_reports_the_outcome_and_writes_nothing(
        self,
        alice: HttpClient,
        bring_in: BringIn,
        database: Any,
        on_duplicate: OnDuplicate,
    ) -> None:
        await bring_in([exported(1)])
        before, conversations = await counts(database), await stored(alice)
        read_entries = len(conversations) + 1
        dump = {
            CONVERSATIONS_KEY: json.dumps([exported(2), exported(1)]),
            SETTINGS_KEY: json.dumps(SETTINGS),
        }

        preview = await bring_in(dump, on_duplicate=on_duplicate, dry_run=True)

        before["audit_logs"] += read_entries  # the test's own looks
        assert await counts(database) == before
        done = await bring_in(dump, on_duplicate=on_duplicate)
        assert preview == done


class TestPreferences:
    async def test_are_merged_with_others(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        path = "/users/me/preferences"
        await alice.put(path, json={"theme": "light", "font": "big"})

        report = await bring_in({SETTINGS_KEY: json.dumps(SETTINGS)})

        assert report.preferences
        assert (SETTINGS | {"font": "big"}).items() <= (
            await (await alice.get(path)).json()
        ).items()
        entry = await database["audit_logs"].find_one({"action": "preferences.import"})
        assert entry["outcome"] == "success"

    async def test_are_kept_by_a_repeat_if_changed_since(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        path = "/users/me/preferences"
        dump = {CONVERSATIONS_KEY: [exported(1)], SETTINGS_KEY: json.dumps(SETTINGS)}
        await bring_in(dump)
        await alice.patch(path, json={"theme": "light", "autoSave": None})
        changed = await (await alice.get(path)).json()

        for _ in range(2):
            await bring_in(dump)
            assert await (await alice.get(path)).json() == changed

    async def test_are_updated_if_not_changed_since(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        path = "/users/me/preferences"
        await bring_in({SETTINGS_KEY: {"theme": "dark", "language": "en"}})
        await alice.patch(path, json={"language": "de"})

        report = await bring_in({SETTINGS_KEY: {"theme": "light", "language": "fr"}})

        assert report.preferences
        found = await (await alice.get(path)).json()
        assert (found["theme"], found["language"]) == ("light", "de")

    async def test_are_kept_if_an_older_version_imported_them(
        self, alice: HttpClient, bring_in: BringIn, database: Any
    ) -> None:
        path = "/users/me/preferences"
        await bring_in({CONVERSATIONS_KEY: [exported(1)]})
        await alice.put(path, json={"theme": "light"})

        for _ in range(2):
            await bring_in({CONVERSATIONS_KEY: [exported(1)], SETTINGS_KEY: SETTINGS})

            found = await (await alice.get(path)).json()
            assert found["theme"] == "light"
            assert found["language"] == SETTINGS["language"]

    async def test_are_remembered_without_being_shown(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        await bring_in({SETTINGS_KEY: SETTINGS})

        [kept] = await Preferences.get_pymongo_collection().find().to_list()
        assert kept["imported"] == {"localstorage": SETTINGS}
        shown = await (await alice.get("/users/me/preferences")).json()
        assert "imported" not in shown

    async def test_are_checked_before_the_import_begins(
        self, alice: HttpClient, bring_in: BringIn
    ) -> None:
        dump = {CONVERSATIONS_KEY: [exported(1)], SETTINGS_KEY: {"theme": "blue"}}
        with pytest.raises(ImportRejected, match=r"^my\.json: settings: theme: "):
            await bring_in(dump)
        assert await stored(alice) == []
