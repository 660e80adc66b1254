"""The audit log over HTTP, page by page."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Actor, Door, Role
from chatvault.audit import service
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.recorder import Recorder
from conftest import HttpClient, SignIn

PATH = "/admin/audit-logs"
AT = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
async def auditor(sign_in: SignIn) -> HttpClient:
    return await sign_in("audrey", role=Role.AUDITOR)


@pytest.fixture
async def same_moment(auditor: HttpClient) -> list[str]:
    """The ids of 23 entries of one millisecond, newest first."""
    actor = Actor(door=Door.BACKGROUND, user_id=ObjectId())
    entries = [service.entry(actor, Action.CONVERSATION_GET) | {"at": AT} for _ in range(23)]
    for entry in entries:
        await Recorder().record(entry)
    return sorted((str(entry["_id"]) for entry in entries), reverse=True)


async def all_pages(browser: HttpClient, query: str) -> list[list[dict[str, Any]]]:
    pages = []
    path: str | None = f"{PATH}?{query}"
    while path is not None:
        answer = await browser.get(path)
        assert answer.status == 200, await answer.text()
        pages.append(await answer.json())
        following = answer.links.get("next")
        path = None if following is None else str(following["url"])
        path = path and path.replace(str(browser.make_url("")).rstrip("/"), "")
    return pages


class TestPages:
    @pytest.mark.parametrize("limit", [1, 4, 23, 24])
    async def test_have_no_gaps_between_equal_times(
        self, auditor: HttpClient, same_moment: list[str], limit: int
    ) -> None:
        pages = await all_pages(auditor, f"action=conversation.get&limit={limit}")

        assert [entry["id"] for page in pages for entry in page] == same_moment
        assert all(len(page) <= limit for page in pages)

    async def test_are_each_recorded(
        self, auditor: HttpClient, same_moment: list[str], database: Any
    ) -> None:
        pages = await all_pages(auditor, "action=conversation.get&limit=10")

        entries = await database.audit_logs.find({"action": "audit.list"}).sort("_id", 1).to_list()
        counts = [len(page) for page in pages]
        assert [entry["details"]["entries"] for entry in entries] == counts

    async def test_are_newest_first_by_default(
        self, auditor: HttpClient, same_moment: list[str]
    ) -> None:
        [page] = await all_pages(auditor, "limit=1000")

        times = [entry["at"] for entry in page]
        assert times == sorted(times, reverse=True)
        assert times[-1] == "2024-01-15T10:30:00.000Z"


class TestFilters:
    async def test_take_the_period_from_and_until(
        self, auditor: HttpClient, same_moment: list[str]
    ) -> None:
        for query, count in {
            "since=2024-01-15T10:30:00Z&until=2024-01-15T10:30:00.001Z": 23,
            "until=2024-01-15T10:30:00Z": 0,
            "since=2024-01-15T10:30:00.001Z&until=2024-01-16T00:00:00Z": 0,
            "since=2024-01-15T11:30:00%2B01:00&until=2024-01-16T00:00:00Z": 23,
        }.items():
            pages = await all_pages(auditor, query)
            assert sum(map(len, pages)) == count, query

    async def test_take_user_outcome_and_kind_together(
        self, auditor: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        await alice.get("/conversations/nonsense")
        await alice.get("/conversations")
        user_id = (await (await alice.get("/auth/me")).json())["id"]

        [page] = await all_pages(
            auditor, f"user_id={user_id}&outcome={Outcome.DENIED}&resource_type=conversation"
        )

        assert [entry["action"] for entry in page] == ["conversation.get"]
        assert page[0]["code"] == "not_found"

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0", "limit=100000", "outcome=maybe", "user_id=alice", "since=yesterday",
            "cursor=nonsense", "cursor=", "more=1", "limit=1&limit=2", "since=1e400",
        ],
    )  # fmt: skip
    async def test_refuse_unknown_parameters(self, auditor: HttpClient, query: str) -> None:
        answer = await auditor.get(f"{PATH}?{query}")

        assert answer.status == 422
        place = query.partition("=")[0]
        assert (await answer.json())["errors"][0]["loc"] == ["query", place]


class TestReaders:
    async def test_are_auditors_and_admins(
        self, http: HttpClient, alice: HttpClient, sign_in: SignIn
    ) -> None:
        admin = await sign_in("adam", role=Role.ADMIN)

        assert (await http.get(PATH)).status == 401
        assert (await alice.get(PATH)).status == 403
        assert (await admin.get(PATH)).status == 200
