import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    AutoReconnect,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from chatvault.errors import Busy, NotFound, OutcomeUnknown, TooLarge, Unavailable
from chatvault.mongodb.database import (
    UNKNOWN_COMMIT,
    check_writable,
    connect,
    to_domain_error,
    transaction,
)
from chatvault.settings import Settings


@pytest.fixture
async def numbers(database: Any) -> Any:
    """A collection with one document that counts."""
    await database.numbers.insert_one({"_id": 1, "n": 0})
    return database.numbers


def labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)
    return error


async def count_up(numbers: Any, session: AsyncClientSession) -> int:
    before = await numbers.find_one({"_id": 1}, session=session)
    await numbers.update_one({"_id": 1}, {"$set": {"n": before["n"] + 1}}, session=session)
    return int(before["n"]) + 1


class TestTransaction:
    async def test_commits_everything_and_returns_the_answer(self, numbers: Any) -> None:
        async def body(session: AsyncClientSession) -> str:
            await count_up(numbers, session)
            await numbers.insert_one({"_id": 2}, session=session)
            return "done"

        assert await transaction(body) == "done"
        assert await numbers.count_documents({}) == 2

    async def test_rolls_back_if_the_body_fails(self, numbers: Any) -> None:
        async def body(session: AsyncClientSession) -> None:
            await count_up(numbers, session)
            raise NotFound

        with pytest.raises(NotFound):
            await transaction(body)
        assert (await numbers.find_one())["n"] == 0

    async def test_is_retried_after_a_conflict(self, numbers: Any) -> None:
        counts = await asyncio.gather(
            *(
                transaction(lambda session: count_up(numbers, session), attempts=50)
                for _ in range(10)
            )
        )

        assert sorted(counts) == list(range(1, 11))
        assert (await numbers.find_one())["n"] == 10

    async def test_commits_those_of_many_concurrent_processes(self, numbers: Any) -> None:
        """Without turns they are as processes to each other."""
        counts = await asyncio.gather(
            *(transaction(lambda session: count_up(numbers, session)) for _ in range(20))
        )

        assert sorted(counts) == list(range(1, 21))

    async def test_runs_one_at_a_time_for_a_key_within_a_process(self, numbers: Any) -> None:
        runs = 0

        async def body(session: AsyncClientSession) -> int:
            nonlocal runs
            runs += 1
            return await count_up(numbers, session)

        counts = await asyncio.gather(*(transaction(body, turn="numbers") for _ in range(50)))

        assert counts == list(range(1, 51))
        assert runs == 50

    async def test_gives_up_after_too_many_conflicts(self, numbers: Any) -> None:
        runs = 0

        async def body(session: AsyncClientSession) -> None:
            nonlocal runs
            runs += 1
            await numbers.find_one({"_id": 1}, session=session)
            # Somebody else is always faster.
            await numbers.update_one({"_id": 1}, {"$inc": {"n": 100}})
            await numbers.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

        with pytest.raises(Busy) as refused:
            await transaction(body, attempts=3)
        assert runs == 3
        assert refused.value.retry_after == 1
        assert (await numbers.find_one())["n"] == 300

    async def test_raises_a_duplicate_key_to_the_caller(self, numbers: Any) -> None:
        async def body(session: AsyncClientSession) -> None:
            await numbers.insert_one({"_id": 1}, session=session)

        with pytest.raises(DuplicateKeyError):
            await transaction(body)

    async def test_rolls_back_if_cancelled(self, numbers: Any) -> None:
        reached = asyncio.Event()

        async def body(session: AsyncClientSession) -> None:
            await count_up(numbers, session)
            reached.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(transaction(body))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await transaction(lambda session: count_up(numbers, session)) == 1


class TestBrokenCommit:
    @pytest.fixture
    def breaks(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, PyMongoError]]:
        """What happens at the next commits: break `before` or `after` the real one."""
        planned: list[tuple[str, PyMongoError]] = []
        commit = AsyncClientSession.commit_transaction

        async def unreliable(session: AsyncClientSession) -> None:
            if not planned:
                await commit(session)
                return
            when, error = planned.pop(0)
            if when == "after":
                await commit(session)
            elif not error.has_error_label(UNKNOWN_COMMIT):
                await session.abort_transaction()
            raise error

        monkeypatch.setattr(AsyncClientSession, "commit_transaction", unreliable)
        return planned

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_is_retried_and_applied_once(
        self, breaks: list[tuple[str, PyMongoError]], numbers: Any, when: str
    ) -> None:
        breaks.append((when, labelled(AutoReconnect("broken"), UNKNOWN_COMMIT)))

        assert await transaction(lambda session: count_up(numbers, session)) == 1
        assert (await numbers.find_one())["n"] == 1

    async def test_has_an_unknown_outcome_if_it_stays_broken(
        self, breaks: list[tuple[str, PyMongoError]], numbers: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = labelled(AutoReconnect("broken"), UNKNOWN_COMMIT)
        breaks.extend([("after", broken)] + [("before", broken)] * 1000)
        seconds = itertools.count(step=2)
        clock = SimpleNamespace(monotonic=lambda: float(next(seconds)))
        monkeypatch.setattr("chatvault.mongodb.database.time", clock)

        with pytest.raises(OutcomeUnknown) as refused:
            await transaction(lambda session: count_up(numbers, session))

        assert refused.value.code == "outcome_unknown"
        assert refused.value.retry_after == 1
        assert (await numbers.find_one())["n"] == 1

    async def test_runs_the_body_again_after_a_conflict(
        self, breaks: list[tuple[str, PyMongoError]], numbers: Any
    ) -> None:
        conflict = OperationFailure("write conflict", 112)
        breaks.append(("before", labelled(conflict, "TransientTransactionError")))
        runs = 0

        async def body(session: AsyncClientSession) -> int:
            nonlocal runs
            runs += 1
            return await count_up(numbers, session)

        assert await transaction(body) == 1
        assert runs == 2
        assert (await numbers.find_one())["n"] == 1

    async def test_raises_a_programming_error(
        self, breaks: list[tuple[str, PyMongoError]], numbers: Any
    ) -> None:
        breaks.append(("before", OperationFailure("not allowed", 13)))

        with pytest.raises(OperationFailure):
            await transaction(lambda session: count_up(numbers, session))
        assert (await numbers.find_one())["n"] == 0


class TestToDomainError:
    @pytest.mark.parametrize(
        "error",
        [
            AutoReconnect("gone"),
            ServerSelectionTimeoutError("nobody"),
            ExecutionTimeout("slow", 50),
            OperationFailure("stepping down", 189),
            OperationFailure("shutting down", 91),
            labelled(OperationFailure("conflict", 112), "TransientTransactionError"),
        ],
    )
    def test_asks_for_a_retry_if_the_database_is_unreachable(self, error: PyMongoError) -> None:
        known = to_domain_error(error)

        assert isinstance(known, Unavailable)
        assert known.retry_after == 1

    @pytest.mark.parametrize(
        "error", [DocumentTooLarge("16 MB"), OperationFailure("BSONObjectTooLarge", 10334)]
    )
    def test_recognises_a_document_that_is_too_large(self, error: PyMongoError) -> None:
        assert isinstance(to_domain_error(error), TooLarge)

    @pytest.mark.parametrize("error", [OperationFailure("denied", 13), DuplicateKeyError("twice")])
    def test_returns_none_for_programming_errors(self, error: PyMongoError) -> None:
        assert to_domain_error(error) is None


class TestConnect:
    async def test_writes_durably_and_gives_up_in_time(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path)
        async with connect("mongodb://%2Ftmp%2Fno-such-mongod.sock", settings) as client:
            assert client.write_concern.document == {"w": "majority", "j": True}
            assert client.read_concern.level == "majority"
            assert client.options.timeout == 5.0

    async def test_reports_why_it_cannot_write(self, settings: Settings) -> None:
        brief = settings.model_copy(update={"mongodb_timeout": 0.1})
        async with connect(
            "mongodb://%2Ftmp%2Fno-such-mongod.sock/?directConnection=true", brief
        ) as client:
            reason = await check_writable(client, "tests")

        assert reason == "the database cannot be reached (ServerSelectionTimeoutError)"

    async def test_recognises_a_writable_primary(
        self, settings: Settings, mongodb_url: str
    ) -> None:
        async with connect(mongodb_url, settings) as client:
            assert await check_writable(client, "tests") is None


class TestConnection:
    async def test_survives_cancelled_callers_in_an_outage(self, tmp_path: Path) -> None:
        """Python 3.11 and the driver together lost a lock for ever, one time in a few."""
        nobody = f"mongodb://127.0.0.1:{unused_port()}/"
        settings = Settings(data_dir=tmp_path, mongodb_timeout=0.6)
        async with connect(nobody, settings) as client:
            errors: list[BaseException | None] = []

            async def look() -> None:
                await client.tests.numbers.find_one()

            async def look_twice() -> None:
                """As a request with a time limit, or a pair of tasks of which one fails."""
                tasks = [asyncio.create_task(look()) for _ in range(2)]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                errors.extend(task.exception() for task in tasks if not task.cancelled())

            async with asyncio.timeout(20):
                for _ in range(2):
                    await asyncio.gather(*(look_twice() for _ in range(50)))
                with pytest.raises(ServerSelectionTimeoutError):
                    await look()

        assert {type(error) for error in errors} == {ServerSelectionTimeoutError}
