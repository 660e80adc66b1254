import csv
import io
import json
from datetime import datetime
from typing import Any

from yarl import URL

from chatvault.actor import Role
from chatvault.review.export import FORMULA_STARTS, lines
from chatvault.review.schemas import ExportFormat
from conftest import HttpClient, SignIn
from support.factories import begin, message

PATH = "/admin/audit-logs"


async def entries(http: HttpClient, path: str = PATH, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(path, params=query)
    assert answer.status == 200, await answer.text()
    found: list[dict[str, Any]] = await answer.json()
    return found


class TestFilters:
    async def test_find_everything_about_a_conversation(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        conversation = await begin(alice)
        other = await begin(alice)
        path = f"/conversations/{conversation['id']}"
        await alice.post(f"{path}/messages", json=message())
        await bob.get(path)
        await alice.delete(path)

        found = await entries(auditor, resource_id=conversation["id"], order="oldest")

        assert [(entry["action"], entry["outcome"]) for entry in found] == [
            ("conversation.create", "success"),
            ("conversation.append_message", "success"),
            ("conversation.get", "denied"),
            ("conversation.trash", "success"),
        ]
        assert other["id"] not in {entry["resource_id"] for entry in found}

    async def test_select_by_action_prefix_address_and_request_id(
        self, alice: HttpClient, sign_in: SignIn
    ) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        await alice.get("/conversations", headers={"X-Request-ID": "my-request-1"})

        logins = await entries(auditor, action="session.*")
        assert {entry["action"] for entry in logins} == {"session.login"}
        assert len(logins) == 2
        mine = await entries(auditor, request_id="my-request-1")
        assert [entry["action"] for entry in mine] == ["conversation.list"]
        assert len(await entries(auditor, address="127.0.0.1")) > 3
        assert await entries(auditor, address="192.0.2.1") == []

    async def test_refuse_an_unknown_action(self, sign_in: SignIn) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        answer = await auditor.get(PATH, params={"action": "conversation.explode"})
        assert answer.status == 422
        assert (await answer.json())["errors"][0]["loc"] == ["query", "action"]

    async def test_have_pages_without_gaps_in_both_orders(
        self, alice: HttpClient, sign_in: SignIn
    ) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        me = (await (await alice.get("/auth/me")).json())["id"]
        for _ in range(7):
            await alice.get("/conversations")
        newest = await entries(auditor, user_id=me, limit=1000)

        for order, expected in (("newest", newest), ("oldest", newest[::-1])):
            seen: list[dict[str, Any]] = []
            target: str | None = f"{PATH}?user_id={me}&order={order}&limit=2"
            while target:
                answer = await auditor.get(target)
                seen += await answer.json()
                links = answer.links
                target = URL(links["next"]["url"]).path_qs if "next" in links else None
            assert seen == expected


class TestStats:
    async def test_counts_by_action_user_and_day(self, alice: HttpClient, sign_in: SignIn) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        me = (await (await alice.get("/auth/me")).json())["id"]
        for _ in range(3):
            await begin(alice)
        await alice.get("/conversations/000000000000000000000000")

        by_action = {row["key"]: row for row in await entries(auditor, PATH + "/stats")}
        assert by_action["conversation.create"]["count"] == 3
        assert by_action["conversation.get"] == {
            "key": "conversation.get", "count": 1, "denied": 1, "failed": 0,
        }  # fmt: skip
        by_user = {row["key"]: row for row in await entries(auditor, PATH + "/stats", by="user")}
        assert by_user[me]["count"] == 6  # login, me, three conversations, one refusal
        (day,) = await entries(auditor, PATH + "/stats", by="day", user_id=me)
        assert day["count"] == 6
        assert datetime.fromisoformat(day["key"]).hour == 0

    async def test_are_for_reviewers_only(self, alice: HttpClient) -> None:
        for path in ("/stats", "/export"):
            answer = await alice.get(PATH + path)
            assert answer.status == 403
            assert (await answer.json())["code"] == "permission_denied"


class TestExport:
    async def test_has_the_same_entries_as_ndjson_and_csv(
        self, alice: HttpClient, sign_in: SignIn
    ) -> None:
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        me = (await (await alice.get("/auth/me")).json())["id"]
        await begin(alice)

        ndjson = await auditor.get(PATH + "/export", params={"user_id": me})
        assert ndjson.content_type == "application/x-ndjson"
        objects = [json.loads(line) for line in (await ndjson.text()).splitlines()]
        as_csv = await auditor.get(PATH + "/export", params={"user_id": me, "format": "csv"})
        assert as_csv.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await as_csv.text())))

        assert [each["action"] for each in objects] == [
            "session.login", "user.get", "conversation.create",
        ]  # fmt: skip
        assert [row["id"] for row in rows] == [each["id"] for each in objects]
        assert [row["at"] for row in rows] == [each["at"] for each in objects]

    async def test_is_complete_over_several_batches(
        self, alice: HttpClient, sign_in: SignIn, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("chatvault.review.service.EXPORT_BATCH", 3)
        auditor = await sign_in("audrey", role=Role.AUDITOR)
        for _ in range(8):
            await begin(alice)
        answer = await auditor.get(PATH + "/export", params={"action": "conversation.create"})
        ids = [json.loads(line)["id"] for line in (await answer.text()).splitlines()]
        assert len(set(ids)) == len(ids) == 8

    def test_has_no_cell_that_a_spreadsheet_would_run(self) -> None:
        blank = dict.fromkeys(
            ("at", "action", "outcome", "code", "door", "user_id", "role", "session_id",
             "resource_type", "resource_id", "address", "request_id", "details")
        )  # fmt: skip
        for start in FORMULA_STARTS:
            agent = f'{start}cmd|"/c calc"!A1,\n"x'
            entry = {**blank, "_id": "1", "duration_ms": -1.5, "user_agent": agent}
            (row,) = csv.reader(io.StringIO(lines([entry], ExportFormat.CSV).decode(), newline=""))
            assert row[12] == f"'{agent}"
            assert row[14] == "-1.5"


class TestMine:
    async def test_shows_actions_by_and_on_the_user(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        await bob.get(f"/conversations/{conversation['id']}")

        mine = await entries(alice, "/users/me/audit-logs")

        assert [entry["action"] for entry in mine] == [
            "conversation.create", "session.login", "user.create",
        ]  # fmt: skip
        again = await entries(alice, "/users/me/audit-logs", limit=1)
        assert [entry["action"] for entry in again] == ["audit.list_mine"]
