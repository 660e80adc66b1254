"""The lane: many changes in one transaction, each with its own answer, others in the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations import service
from chatvault.conversations.bulk.turns import BulkTurns
from chatvault.conversations.commits.batch import CommitBatch
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.errors import Conflicted, HalfDecided, RetryAfterMove
from chatvault.conversations.commits.queue import FEW, MAX_ATTEMPTS, MAX_SETBACKS, CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages.append_service import Appended
from chatvault.conversations.models import Conversation
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationUpdate,
    MessageIn,
)
from chatvault.conversations.store import MessageStore
from chatvault.conversations.trash import service as trash_service
from chatvault.conversations.trash.service import TrashDeps
from chatvault.errors import Busy, NotFound, OutcomeUnknown, StaleVersion
from chatvault.keys import SecretKey
from conftest import HttpClient
from support.answers import found, problem
from support.factories import begin, message
from support.stored import somebody, stored, tiny_bounds


@pytest.fixture
async def actor(http: HttpClient) -> Actor:
    return somebody()


@pytest.fixture
async def commits(http: HttpClient) -> AsyncIterator[CommitQueue]:
    made = CommitQueue(MessageStore())
    yield made
    await made.drain()


async def start(actor: Actor, commits: CommitQueue, *contents: str) -> ObjectId:
    body = {"messages": [message(each) for each in contents]}
    return await service.create(actor, commits, wanted=ConversationCreate.model_validate(body))


async def append(
    actor: Actor,
    commits: CommitQueue,
    conversation_id: ObjectId,
    content: str,
    message_id: str | None = None,
) -> Appended:
    wanted = MessageIn.model_validate(message(content, id=message_id))
    return await append_service.append(
        actor, commits, conversation_id=conversation_id, wanted=[wanted]
    )


async def rename(
    actor: Actor, commits: CommitQueue, conversation_id: ObjectId, title: str, *versions: int
) -> int:
    return await service.update(
        actor,
        commits,
        conversation_id=conversation_id,
        wanted=ConversationPatch(title=title),
        precondition=Precondition(bool(versions), frozenset(versions) if versions else None),
    )


def watch_groups(constants: pytest.MonkeyPatch) -> list[int]:
    """How many changes each group had, try for try."""
    sizes: list[int] = []
    carry = CommitBatch.carry

    async def watched(self: CommitBatch) -> list[Any]:
        sizes.append(len(self._changes))
        return await carry(self)

    constants.setattr(CommitBatch, "carry", watched)
    return sizes


def conflict_above(constants: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let batches of more changes conflict; return their sizes."""
    carry = CommitBatch.carry
    sizes: list[int] = []

    async def conflicted(self: CommitBatch) -> list[Any]:
        answers = await carry(self)
        if len(self._changes) > most:
            sizes.append(len(self._changes))
            raise Conflicted
        return answers

    constants.setattr(CommitBatch, "carry", conflicted)
    return sizes


class TestQueue:
    @pytest.mark.usefixtures("own_application")
    async def test_answers_503_with_retry_after_when_full_and_loses_nothing(
        self, http: HttpClient, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        assert http.app is not None
        http.app[COMMITS]._queue_size = 5
        path = f"/conversations/{begun['id']}/messages"
        answers = await asyncio.gather(*(alice.post(path, json=message(str(n))) for n in range(90)))
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        for answer in refused:
            await problem(answer, 503, "busy")
            assert int(answer.headers["Retry-After"]) >= 1
        shown = await found(alice, begun["id"])
        assert shown["total_messages"] == 90 - len(refused)
        wanted = {"action": "conversation.append_message", "outcome": "failed", "code": "busy"}
        assert await database["audit_logs"].count_documents(wanted) == len(refused)

    async def test_commits_a_lone_change_at_once(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        sizes = watch_groups(constants)
        for number in range(5):
            await append(actor, commits, begun, str(number))
        assert sizes == [1] * 5

    async def test_batches_changes_that_arrive_together(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch, database: Any
    ) -> None:
        begun = [await start(actor, commits) for _ in range(4)]
        sizes = watch_groups(constants)
        posts = [append(actor, commits, begun[n % 4], str(n)) for n in range(200)]
        await asyncio.gather(*posts)
        assert sum(sizes) >= 200
        assert max(sizes) == 32
        assert len(sizes) < 20
        await commits.drain()
        for each in begun:
            assert len((await stored(database, each)).messages) == 50

    async def test_divides_simultaneous_changes_among_batches(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = [await start(actor, commits) for _ in range(30)]
        sizes = watch_groups(constants)
        await asyncio.gather(*(append(actor, commits, each, "now") for each in begun))
        assert sizes == [15, 15]

    async def test_commits_a_few_changes_in_one_batch(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = [await start(actor, commits) for _ in range(FEW)]
        sizes = watch_groups(constants)
        await asyncio.gather(*(append(actor, commits, each, "now") for each in begun))
        assert sizes == [FEW]

    async def test_keeps_changes_of_one_conversation_together(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = [await start(actor, commits) for _ in range(2)]
        sizes = watch_groups(constants)
        posts = [append(actor, commits, begun[n % 2], str(n)) for n in range(30)]
        await asyncio.gather(*posts)
        assert sizes == [30]

    async def test_never_has_a_conversation_in_two_batches(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        running = 0
        most = 0
        carry = CommitBatch.carry

        async def watched(self: CommitBatch) -> list[Any]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await carry(self)
            finally:
                running -= 1

        constants.setattr(CommitBatch, "carry", watched)
        await asyncio.gather(*(append(actor, commits, begun, str(n)) for n in range(100)))
        assert most == 1

    async def test_drains_completely(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await start(actor, commits)
        tasks = [asyncio.create_task(append(actor, commits, begun, str(n))) for n in range(50)]
        await asyncio.sleep(0)
        await commits.drain()
        assert all(task.done() for task in tasks)
        lies = await stored(database, begun)
        assert len(lies.messages) == 50
        assert len(lies.document["messages"]) <= 4


class TestPostponedChanges:
    async def test_are_refused_in_the_end_so_that_a_stop_ends(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        sizes = watch_groups(constants)

        def decide(_working: WorkingCopy) -> None:
            raise RetryAfterMove

        hopeless: Change[None] = Change(
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_UPDATE,
            where=("_id", begun),
            decide=decide,
        )
        waiting = asyncio.create_task(commits.submit(hopeless))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await commits.drain()
        with pytest.raises(Busy) as refused:
            await waiting
        assert refused.value.retry_after == 1
        assert len(sizes) == MAX_SETBACKS
        await append(actor, commits, begun, "after")

    async def test_are_postponed_no_more_often_than_necessary(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        """One of them gets on in each group, and there are as many as a group may have."""
        begun = await start(actor, commits)
        sizes = watch_groups(constants)
        decided: set[int] = set()

        def one_a_group(number: int) -> Change[int]:
            def decide(_working: WorkingCopy) -> int:
                if len(decided) == len(sizes):
                    raise RetryAfterMove
                decided.add(number)
                return number

            return Change(
                actor=actor,
                access=Access.of(actor),
                action=Action.CONVERSATION_UPDATE,
                where=("_id", begun),
                decide=decide,
            )

        answers = await asyncio.gather(*(commits.submit(one_a_group(n)) for n in range(32)))
        assert answers == list(range(32))


class TestOrder:
    async def test_is_that_of_arrival(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        begun = await start(actor, commits)
        answers = await asyncio.gather(
            *(append(actor, commits, begun, str(n)) for n in range(100)),
        )
        assert [each.messages[0][0] for each in answers] == list(range(100))
        assert [each.version for each in answers] == list(range(2, 102))
        assert [each.total_messages for each in answers] == list(range(1, 101))
        assert (await stored(database, begun)).contents == [str(n) for n in range(100)]

    @pytest.mark.parametrize("most", [32, 4, 1])
    async def test_is_that_of_arrival_where_one_is_postponed(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch, most: int
    ) -> None:
        """Whether they share a batch or conflicts divide it, down to one change each."""
        begun = [await start(actor, commits) for _ in range(2)]
        sizes = watch_groups(constants)
        conflict_above(constants, most)
        decided: list[int] = []
        postponed: set[int] = set()

        def postponed_once(number: int) -> Change[None]:
            def decide(_working: WorkingCopy) -> None:
                if sizes[-1] > most:
                    return
                if number in {0, 5} and number not in postponed:
                    postponed.add(number)
                    raise RetryAfterMove
                decided.append(number)

            return Change(
                actor=actor,
                access=Access.of(actor),
                action=Action.CONVERSATION_UPDATE,
                where=("_id", begun[number % 2]),
                decide=decide,
            )

        await asyncio.gather(*(commits.submit(postponed_once(n)) for n in range(10)))
        assert [number for number in decided if number % 2 == 0] == [0, 2, 4, 6, 8]
        assert [number for number in decided if number % 2] == [1, 3, 5, 7, 9]

    async def test_lets_repeats_be_recognised_among_new_messages(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        ids = [f"m{n}" for n in range(4)]
        begun = [await start(actor, commits) for _ in range(3)]
        for each in begun:
            for message_id in ids:
                await append(actor, commits, each, message_id, message_id)
        sizes = watch_groups(constants)
        # Of the first conversation two that are there, of the second one of two, of the third none.
        wanted = [(0, "m1"), (0, "m3"), (1, "m2"), (1, "m9"), (2, "m8")]
        answers = await asyncio.gather(
            *(append(actor, commits, begun[which], each, each) for which, each in wanted)
        )
        assert sizes == [5]
        assert [(each.repeated, each.messages[0][0]) for each in answers] == [
            (1, 1),
            (1, 3),
            (1, 2),
            (0, 4),
            (0, 4),
        ]

    async def test_lets_repeats_be_recognised_by_id_and_by_source(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        await append(actor, commits, begun, "x", "m0")
        await database.conversations.update_one({"_id": begun}, {"$set": {"source": "here:1"}})
        sizes = watch_groups(constants)

        def looking(name: str, value: Any) -> Change[Any]:
            return Change(
                actor=actor,
                access=Access.of(actor),
                action=Action.CONVERSATION_APPEND_MESSAGE,
                where=(name, value),
                decide=lambda working: working.find("m0"),
                message_ids=frozenset({"m0"}),
            )

        names = [("_id", begun), ("source", "here:1")]
        found = await asyncio.gather(*(commits.submit(looking(*each)) for each in names))
        assert sizes == [2]
        assert [each and each.message["content"] for each in found] == ["x", "x"]

    async def test_separates_changes_before_and_after_a_delete(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = await start(actor, commits)
        deps = TrashDeps(commits, Recorder(), SecretKey(b"k" * 32), 1, BulkTurns())
        outcomes = await asyncio.gather(
            append(actor, commits, begun, "before"),
            trash_service.trash(actor, deps, conversation_id=begun),
            append(actor, commits, begun, "after"),
            rename(actor, commits, begun, "after"),
            trash_service.trash(actor, deps, conversation_id=begun),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes] == [
            Appended,
            type(None),
            NotFound,
            NotFound,
            NotFound,
        ]
        [stored] = await database["conversations"].find().to_list()
        assert (stored["status"], stored["total_messages"]) == ("deleted", 1)
        actions = Counter(
            [each["action"] async for each in database["audit_logs"].find({"door": "http"})]
        )
        assert actions["conversation.append_message"] == 1
        assert actions["conversation.trash"] == 1

    async def test_checks_versions_against_earlier_changes(
        self, actor: Actor, commits: CommitQueue
    ) -> None:
        begun = await start(actor, commits)
        outcomes = await asyncio.gather(
            rename(actor, commits, begun, "a", 1),
            rename(actor, commits, begun, "b", 1),
            rename(actor, commits, begun, "c", 2),
            append(actor, commits, begun, "x"),
            rename(actor, commits, begun, "d", 3),
            rename(actor, commits, begun, "e", 4),
            return_exceptions=True,
        )
        assert outcomes[0] == 2
        assert isinstance(outcomes[1], StaleVersion)
        assert outcomes[2] == 3
        assert isinstance(outcomes[4], StaleVersion)
        assert outcomes[5] == 5


class TestFailure:
    async def test_of_a_refused_change_is_its_own(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = await start(actor, commits)
        stranger = somebody()
        outcomes = await asyncio.gather(
            append(actor, commits, begun, "a", "same"),
            append(actor, commits, begun, "b", "same"),
            append(stranger, commits, begun, "intruder"),
            append(actor, commits, ObjectId(), "nowhere"),
            append(actor, commits, begun, "c"),
            return_exceptions=True,
        )
        assert [isinstance(each, Exception) for each in outcomes] == [
            False,
            True,
            True,
            True,
            False,
        ]
        assert (await stored(database, begun)).contents == ["a", "c"]

    async def test_does_not_come_from_another_owners_change(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        other = somebody()
        mine, theirs = await start(actor, commits), await start(other, commits)
        read: list[dict[str, Any]] = []
        collection = Conversation.get_pymongo_collection()
        find = type(collection).find

        def watched(self: Any, query: Any, *args: Any, **options: Any) -> Any:
            if self.name == "conversations":
                read.append(query)
            return find(self, query, *args, **options)

        constants.setattr(type(collection), "find", watched)
        await asyncio.gather(
            *(append(actor, commits, each, "x") for each in (mine, theirs)),
            append(other, commits, mine, "y"),
            return_exceptions=True,
        )
        constants.undo()

        assert any(str(mine) in str(each) and str(theirs) in str(each) for each in read)
        for query in read:
            found = await database.conversations.find(query, {"user_id": True}).to_list()
            assert {(each["user_id"], each["_id"]) for each in found} <= {(actor.user_id, mine)}

    @pytest.mark.parametrize("place", [0, 3, 6])
    async def test_of_a_bug_is_its_changes_own(
        self, actor: Actor, commits: CommitQueue, database: Any, place: int
    ) -> None:
        begun = await start(actor, commits)

        def decide(working: WorkingCopy) -> None:
            working.set(working.fields["updated_at"], title="half done")
            raise ZeroDivisionError

        changes: list[Any] = [append(actor, commits, begun, str(n)) for n in range(6)]
        faulty: Change[None] = Change(
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_UPDATE,
            where=("_id", begun),
            decide=decide,
        )
        changes.insert(place, commits.submit(faulty))
        outcomes = await asyncio.gather(*changes, return_exceptions=True)
        assert isinstance(outcomes.pop(place), ZeroDivisionError)
        assert not any(isinstance(each, Exception) for each in outcomes)
        lies = await stored(database, begun)
        assert lies.contents == [str(n) for n in range(6)]
        assert lies.document["title"] == "New Conversation"

    async def test_after_a_decision_stores_nothing(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = await start(actor, commits)
        entries = await database["audit_logs"].count_documents({})

        def touch(working: WorkingCopy) -> None:
            working.set(working.fields["updated_at"], title="half done")
            raise StaleVersion

        def note(working: WorkingCopy) -> None:
            working.outbox.record(audit.entry(actor, Action.CONVERSATION_UPDATE, begun))
            raise RetryAfterMove

        def end(working: WorkingCopy) -> None:
            working.delete()
            raise NotFound

        half = [
            Change[None](
                actor=actor,
                access=Access.of(actor),
                action=Action.CONVERSATION_UPDATE,
                where=("_id", begun),
                decide=decide,
            )
            for decide in (touch, note, end)
        ]
        outcomes = await asyncio.gather(
            *(commits.submit(change) for change in half),
            append(actor, commits, begun, "whole"),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes] == [HalfDecided] * 3 + [Appended]
        lies = await stored(database, begun)
        assert lies.contents == ["whole"]
        assert lies.document["title"] == "New Conversation"
        assert await database["audit_logs"].count_documents({}) == entries + 1

    async def test_of_a_write_that_mongodb_refuses_is_its_own(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = [await start(actor, commits) for _ in range(3)]

        def decide(working: WorkingCopy) -> None:
            working.set(working.fields["updated_at"], metadata={"x": "y" * 17 * 1024**2})
            working.outbox.record(audit.entry(actor, Action.CONVERSATION_UPDATE, begun[1]))

        too_large: Change[None] = Change(
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_UPDATE,
            where=("_id", begun[1]),
            decide=decide,
        )
        outcomes = await asyncio.gather(
            append(actor, commits, begun[0], "a"),
            commits.submit(too_large),
            append(actor, commits, begun[2], "c"),
            return_exceptions=True,
        )
        assert [isinstance(each, Exception) for each in outcomes] == [False, True, False]

    async def test_does_not_come_from_a_cancelled_caller(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = await start(actor, commits)
        tasks = [asyncio.create_task(append(actor, commits, begun, str(n))) for n in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await commits.drain()
        contents = (await stored(database, begun)).contents
        assert set(map(str, range(1, 40, 2))) <= set(contents)
        assert len(contents) == len(set(contents))

    async def test_of_a_cancelled_batch_reaches_every_caller(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        carry = CommitBatch.carry

        async def cut_off(self: CommitBatch) -> list[Any]:
            answers = await carry(self)
            if "3" in {each.messages[0][1]["content"] for each in answers}:
                for running in list(commits._running):
                    asyncio.get_running_loop().call_soon(running.cancel)
                await asyncio.sleep(1)
            return answers

        constants.setattr(CommitBatch, "carry", cut_off)
        tasks = [asyncio.create_task(append(actor, commits, begun, str(n))) for n in range(50)]
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        failed = [each for each in outcomes if isinstance(each, BaseException)]
        assert failed
        assert all(isinstance(each, OutcomeUnknown) for each in failed)
        contents = (await stored(database, begun)).contents
        assert len(contents) >= 50 - len(failed)
        assert len(contents) == len(set(contents))

    async def test_of_a_batch_cancelled_before_its_start_reaches_every_caller(
        self, actor: Actor, commits: CommitQueue, database: Any
    ) -> None:
        begun = await start(actor, commits)
        await commits.drain()
        sending = asyncio.create_task(append(actor, commits, begun, "never"))
        for _ in range(2):  # it is sent, then the lane gives it to a group
            await asyncio.sleep(0)
        assert commits._running
        for running in list(commits._running):
            running.cancel()  # in the same turn of the loop, so before its first step
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(sending, 60)
        await append(actor, commits, begun, "after")
        assert (await stored(database, begun)).contents == ["after"]


class TestConflicts:
    async def test_two_processes_on_the_same_conversations_lose_nothing(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        other = CommitQueue(MessageStore())
        begun = [await start(actor, commits) for _ in range(3)]
        sizes = watch_groups(constants)

        async def write(which: CommitQueue, name: str) -> list[Any]:
            answers = []
            for number in range(25):
                each = begun[number % 3]
                answers.append(await append(actor, which, each, f"{name}{number}"))
                await rename(actor, which, each, name)
            return answers

        writers = [write((commits, other)[n % 2], f"w{n}.") for n in range(8)]
        answers = [each for some in await asyncio.gather(*writers) for each in some]
        await commits.drain()
        await other.drain()
        told: Counter[str] = Counter()
        for each in begun:
            lies = await stored(database, each)
            told.update(lies.contents)
        assert told == Counter(f"w{n}.{k}" for n in range(8) for k in range(25))
        assert len(answers) == 200
        assert len(sizes) > 0
        for action, count in (("append_message", 200), ("update", 200)):
            wanted = {"action": f"conversation.{action}", "outcome": "success"}
            assert await database["audit_logs"].count_documents(wanted) == count

    async def test_bulk_and_small_replacements_of_two_processes_stay_consistent(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        tiny_bounds(constants)
        other = CommitQueue(MessageStore())
        begun = await start(actor, commits, *map(str, range(20)))

        async def put(which: CommitQueue, count: int) -> None:
            body = {"messages": [message("p")] * count}
            await service.update(
                actor,
                which,
                conversation_id=begun,
                wanted=ConversationUpdate.model_validate(body),
                precondition=Precondition(),
            )

        changes: list[Any] = []
        for number in range(10):
            changes += [put(commits, 3 + number), put(other, 12 - number)]
            changes += [append(actor, (commits, other)[n % 2], begun, "a") for n in range(6)]
        await asyncio.gather(*changes)
        await commits.drain()
        await other.drain()
        lies = await stored(database, begun)
        total = 20 + 60 + sum(3 + n for n in range(10)) + sum(12 - n for n in range(10))
        assert lies.document["next_seq"] == total
        assert lies.document["version"] == 1 + 80

    async def test_a_batch_in_conflict_is_halved_with_correct_answers(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        sizes = watch_groups(constants)
        conflicts = conflict_above(constants, 4)
        answers = await asyncio.gather(*(append(actor, commits, begun, str(n)) for n in range(33)))
        assert [each.messages[0][0] for each in answers] == list(range(33))
        assert len(conflicts) == sum(size > 4 for size in sizes) > 0
        assert sum(size for size in sizes if size <= 4) == 33
        assert (await stored(database, begun)).contents == [str(n) for n in range(33)]

    async def test_endless_conflicts_answer_503_and_store_nothing(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        before = await stored(database, begun)
        sizes: list[int] = []

        async def conflicted(self: CommitBatch) -> list[Any]:
            sizes.append(len(self._changes))
            raise Conflicted

        constants.setattr("random.random", lambda: 0.01)
        with constants.context() as patched:
            patched.setattr(CommitBatch, "carry", conflicted)
            outcomes = await asyncio.gather(
                *(append(actor, commits, begun, str(n)) for n in range(4)), return_exceptions=True
            )
        assert all(isinstance(each, Busy) and each.retry_after for each in outcomes)
        assert len(sizes) <= 4 * MAX_ATTEMPTS + 1
        assert await stored(database, begun) == before
        await append(actor, commits, begun, "later")

    async def test_a_broken_connection_is_not_retried(
        self, actor: Actor, commits: CommitQueue, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        calls = 0

        async def unknown(self: CommitBatch) -> list[Any]:
            nonlocal calls
            calls += 1
            raise OutcomeUnknown(retry_after=1)

        constants.setattr(CommitBatch, "carry", unknown)
        outcomes = await asyncio.gather(
            *(append(actor, commits, begun, str(n)) for n in range(3)), return_exceptions=True
        )
        assert all(isinstance(each, OutcomeUnknown) for each in outcomes)
        assert calls <= 2


class TestAudit:
    async def test_an_entry_is_stored_with_the_change_or_not_at_all(
        self, actor: Actor, commits: CommitQueue, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await start(actor, commits)
        count = await database["audit_logs"].count_documents({})

        entry = audit.entry

        def no_entry(*args: Any, **more: Any) -> Any:
            return entry(*args, **more) | {"_id": 1}

        await append(actor, commits, begun, "a")
        assert await database["audit_logs"].count_documents({}) == count + 1
        with constants.context() as patched:
            patched.setattr(audit, "entry", no_entry)
            await append(actor, commits, begun, "b")
            with pytest.raises(Exception, match="E11000"):
                await append(actor, commits, begun, "c")
        assert (await stored(database, begun)).contents == ["a", "b"]
