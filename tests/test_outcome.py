"""What fails after a change was stored says so: it is never called undone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from chatvault.actor import Role
from chatvault.conversations.routes import COMMITS
from chatvault.errors import Busy, OutcomeUnknown, TooLarge
from chatvault.mongodb.database import many_changes
from chatvault.outcome import begin_operation, has_stored, note_stored
from conftest import HttpClient, SignIn
from support.answers import found, problem
from support.factories import PASSWORD, begin, message
from support.operations import AUDITED, CALLS, call, key_of, make_things

TRUE = {"stored_not_shown", "outcome_unknown"}


class Outage:
    """MongoDB is away from the next commit on, for as long as it is planned.

    Attributes:
        planned: it begins with the next commit.
        is_away: it has begun.
    """

    def __init__(self) -> None:
        self.planned = False
        self.is_away = False

    def __enter__(self) -> None:
        self.planned = True

    def __exit__(self, *_: object) -> None:
        self.planned = self.is_away = False


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    made = Outage()
    commit = AsyncClientSession.commit_transaction
    select: Callable[..., Any] = AsyncMongoClient._select_server

    async def commit_transaction(session: AsyncClientSession) -> None:
        await commit(session)
        made.is_away = made.planned

    async def select_server(*args: Any, **more: Any) -> Any:
        if made.is_away:
            raise ServerSelectionTimeoutError("stopped in the middle of a request")
        return await select(*args, **more)

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", commit_transaction)
    monkeypatch.setattr(AsyncMongoClient, "_select_server", select_server)
    yield made
    made.planned = made.is_away = False


class TestOperations:
    async def test_do_not_claim_that_nothing_was_done(
        self,
        app: web.Application,
        sign_in: SignIn,
        http: HttpClient,
        database: Any,
        outage: Outage,
    ) -> None:
        alice = await sign_in("alice", role=Role.ADMIN)
        codes: dict[str, str] = {}
        changes = [each for each in AUDITED if each.method != "GET"]
        # These end the session.
        last = {"/auth/login": 1, "/auth/logout": 2}
        for operation in sorted(changes, key=lambda found: last.get(found.path, 0)):
            if operation.path == "/auth/logout":
                await alice.post("/auth/login", json={"username": "alice", "password": PASSWORD})
            things = await make_things(alice, http, operation)
            await app[COMMITS].drain()
            name = " ".join(key_of(operation))

            with outage:
                answer = await call(alice, operation, things)
                text = await answer.text()

            query = {"request_id": answer.headers["X-Request-ID"]}
            outcomes = {each["outcome"] async for each in database.audit_logs.find(query)}
            expected = CALLS[key_of(operation)].get("status", operation.status)
            if "success" in outcomes and answer.status != expected:
                codes[name] = (await answer.json(content_type=None))["code"]
                assert outcomes == {"success"}, f"{name}: {text}"
        assert set(codes.values()) <= TRUE, codes
        # Those that read again what they changed.
        assert len(codes) > 8, codes

    async def test_are_distinguished_by_whether_anything_was_stored(
        self, alice: HttpClient, outage: Outage
    ) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        with outage:
            shown = await problem(
                await alice.post(f"{path}/messages", json=message("kept")), 503, "stored_not_shown"
            )
            later = await problem(
                await alice.post(f"{path}/messages", json=message("lost")), 503, "unavailable"
            )
        assert "stored" in shown["detail"]
        assert "nothing was done" in later["detail"]
        assert [each["content"] for each in (await found(alice, begun["id"]))["messages"]] == [
            "kept"
        ]

    async def test_of_many_steps_report_that_some_may_be_done(
        self, alice: HttpClient, outage: Outage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatvault.conversations.trash.service.STEP", 2)
        for _ in range(6):
            await begin(alice)
        with outage:
            broken = await problem(await alice.delete("/conversations"), 503, "outcome_unknown")
        assert "Some of the conversations are deleted" in broken["detail"]
        left = (await (await alice.get("/conversations/stats/count")).json())["count"]
        assert left == 4
        assert (await (await alice.delete("/conversations")).json())["deleted_count"] == 4

    async def test_are_not_reported_as_undone_if_the_outcome_is_unknown(
        self, alice: HttpClient, outage: Outage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor where the failure itself cannot be recorded."""
        begun = await begin(alice)

        async def broken(*_: Any, **__: Any) -> Any:
            outage.is_away = True
            raise OutcomeUnknown(retry_after=1)

        monkeypatch.setattr("chatvault.conversations.commits.queue.transact", broken)
        with outage:
            answer = await alice.patch(f"/conversations/{begun['id']}", json={"title": "x"})
        await problem(answer, 503, "outcome_unknown")

    async def test_are_refused_as_usual(self, alice: HttpClient, outage: Outage) -> None:
        """What another request of the same group stored is not this one's."""
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}"
        stale = await alice.put(path, json={"title": "x"}, headers={"If-Match": '"9"'})
        await problem(stale, 412, "stale_version")
        with outage:
            outage.is_away = True
            refused = await alice.put(path, json={"title": "x"})
            await problem(refused, 503, "unavailable")


class TestManyChanges:
    @pytest.mark.parametrize("error", [Busy(retry_after=1), ServerSelectionTimeoutError("away")])
    def test_have_an_unknown_outcome_once_one_is_stored(self, error: Exception) -> None:
        begin_operation()
        with pytest.raises(type(error)), many_changes("Some may be made."):
            raise error
        note_stored()
        with (
            pytest.raises(OutcomeUnknown, match="Some may be made"),
            many_changes("Some may be made."),
        ):
            raise error

    @pytest.mark.parametrize("error", [TooLarge(), OperationFailure("a fault of ours", 13)])
    def test_report_another_reason_of_a_failure(self, error: Exception) -> None:
        begin_operation()
        note_stored()
        with pytest.raises(type(error)), many_changes("Some may be made."):
            raise error


class TestNote:
    def test_is_reset_by_the_next_operation(self) -> None:
        begin_operation()
        assert not has_stored()
        note_stored()
        assert has_stored()
        begin_operation()
        assert not has_stored()
