"""Big changes: counted as they are written, and never in the way of small ones."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest
from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.conversations import service
from chatvault.conversations.commits import queue
from chatvault.conversations.commits.batch import CommitBatch
from chatvault.conversations.commits.change import BIG, Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages.append_service import Appended
from chatvault.conversations.routes import COMMITS
from chatvault.conversations.schemas import ConversationCreate, MessageIn
from chatvault.conversations.store import MessageStore
from conftest import HttpClient
from support.codecs import sealing
from support.factories import begin, message
from support.stored import large, somebody, stored

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE


@pytest.fixture
async def actor(http: HttpClient) -> Actor:
    return somebody()


@pytest.fixture
async def commits(http: HttpClient) -> AsyncIterator[CommitQueue]:
    made = CommitQueue(MessageStore())
    yield made
    await made.drain()


async def start(actor: Actor, commits: CommitQueue) -> ObjectId:
    return await service.create(actor, commits, wanted=ConversationCreate())


async def append(
    actor: Actor, commits: CommitQueue, conversation_id: ObjectId, **more: Any
) -> Appended:
    wanted = MessageIn.model_validate(message(**more))
    return await append_service.append(
        actor, commits, conversation_id=conversation_id, wanted=[wanted]
    )


def heavy(kilobytes: int = 200) -> dict[str, Any]:
    """Of a message whose words are few."""
    return {"metrics": {"trace": "x" * kilobytes * KILOBYTE}}


class Gate:
    """Lets small groups pass, and big ones when it is opened; notes which came by."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.groups: list[list[Change[Any]]] = []
        self.inside = 0
        self.most_inside = 0


@pytest.fixture
def gate(constants: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    carry = CommitBatch.carry

    async def held(self: CommitBatch) -> list[Any]:
        made.groups.append(list(self._changes))
        if sum(change.size for change in self._changes) < BIG:
            return await carry(self)
        made.inside += 1
        made.most_inside = max(made.inside, made.most_inside)
        await made.opened.wait()
        made.inside -= 1
        return await carry(self)

    constants.setattr(CommitBatch, "carry", held)
    return made


class TestSize:
    async def test_is_what_a_change_writes(
        self, http: HttpClient, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        begun = await begin(alice, messages=[message("x", "assistant", id="m")])
        assert http.app is not None
        commits, path = http.app[COMMITS], f"/conversations/{begun['id']}"
        sizes: list[int] = []
        submit = CommitQueue.submit

        async def watched(self: CommitQueue, change: Change[Any]) -> Any:
            sizes.append(change.size)
            return await submit(self, change)

        constants.setattr(CommitQueue, "submit", watched)
        some = "ü" * 100 * KILOBYTE  # of two bytes each
        free = {"some": some}
        requests: list[tuple[str, str, Any]] = [
            ("POST", f"{path}/messages", message("x", metrics=free)),
            ("POST", f"{path}/messages", message("x", mine=free)),
            ("POST", f"{path}/messages", message(some)),
            ("POST", f"{path}/messages:batch", {"messages": [message("x", metrics=free)]}),
            ("PATCH", f"{path}/messages/m", {"metrics": free}),
            ("PUT", path, {"metadata": free}),
            ("PATCH", path, {"metadata": {"other": "x", **free}}),
            ("POST", "/conversations", {"metadata": free}),
            ("POST", "/conversations", {"messages": [message("x", metrics=free)]}),
        ]
        for method, where, body in requests:
            sizes.clear()
            answer = await alice.request(method, where, **large(body))
            text = await answer.text()  # else the connection is not given back
            assert answer.status in {200, 201}, text
            assert sizes[0] >= len(bson.encode(free)), f"{method} {where}"
            await commits.drain()

    async def test_limits_a_batch_of_many_small_messages(
        self, actor: Actor, commits: CommitQueue, gate: Gate, database: Any
    ) -> None:
        gate.opened.set()
        begun = [await start(actor, commits) for _ in range(32)]
        gate.groups.clear()

        half = {"text": "x" * 250 * KILOBYTE}
        await asyncio.gather(
            *(append(actor, commits, each, metrics=half, mine=half) for each in begun)
        )

        groups = [group for group in gate.groups if group[0].action.endswith("append_message")]
        assert sum(map(len, groups)) == 32
        assert max(map(len, groups)) * 500 * KILOBYTE <= 4 * MEGABYTE
        for each in begun:
            assert len((await stored(database, each)).messages) == 1


class TestSmallChanges:
    async def test_pass_while_big_ones_run_and_wait(
        self, actor: Actor, commits: CommitQueue, gate: Gate
    ) -> None:
        begun = [await start(actor, commits) for _ in range(44)]
        big = [asyncio.create_task(append(actor, commits, each, **heavy())) for each in begun[:40]]
        await asyncio.sleep(0)

        async with asyncio.timeout(20):
            for each in begun[40:]:
                await append(actor, commits, each)
            await asyncio.gather(*(append(actor, commits, each) for each in begun[40:]))

        assert not any(task.done() for task in big)
        gate.opened.set()
        await asyncio.gather(*big)
        assert gate.most_inside == 1

    async def test_of_the_same_conversation_wait(
        self, actor: Actor, commits: CommitQueue, gate: Gate, database: Any
    ) -> None:
        begun = await start(actor, commits)
        other = await start(actor, commits)
        contents = ["0", "big 1", "2", "3", "big 4", "5"]
        sent = [
            asyncio.create_task(
                append(actor, commits, begun, content=each, **(heavy() if "big" in each else {}))
            )
            for each in contents
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await append(actor, commits, other, content="passes")
        assert not any(task.done() for task in sent[1:])

        gate.opened.set()
        answers = await asyncio.gather(*sent)
        assert [each.messages[0][0] for each in answers] == list(range(6))
        assert (await stored(database, begun)).contents == contents

    async def test_do_not_delay_big_ones(
        self, actor: Actor, commits: CommitQueue, gate: Gate
    ) -> None:
        gate.opened.set()
        begun = [await start(actor, commits) for _ in range(100)]
        gate.groups.clear()

        small = [append(actor, commits, each) for each in begun[:60]]
        later = [append(actor, commits, each) for each in begun[61:]]
        await asyncio.gather(*small, append(actor, commits, begun[60], **heavy()), *later)

        [place] = [n for n, group in enumerate(gate.groups) if any(each.is_big for each in group)]
        assert place <= 3

    async def test_are_big_if_they_move_many_messages(
        self, actor: Actor, commits: CommitQueue, gate: Gate
    ) -> None:
        gate.opened.set()
        begun = await start(actor, commits)
        await append(actor, commits, begun, **heavy(100))
        await append(actor, commits, begun, **heavy(100))
        await commits.drain()
        moves = [each for group in gate.groups for each in group if each.needs_last_segment]
        assert [each.is_big for each in moves] == [True]


class TestOverflow:
    async def test_goes_to_segments_in_the_change_that_makes_it(
        self, actor: Actor, commits: CommitQueue, gate: Gate, database: Any
    ) -> None:
        gate.opened.set()
        begun = await start(actor, commits)
        await append(actor, commits, begun, content="0")
        gate.groups.clear()
        wanted = [MessageIn.model_validate(message(str(each), **heavy())) for each in range(1, 5)]

        answer = await append_service.append(actor, commits, conversation_id=begun, wanted=wanted)

        await commits.drain()
        assert [len(group) for group in gate.groups] == [1]
        assert [each.seq for each in answer.messages] == [1, 2, 3, 4]
        found = await stored(database, begun)
        assert len(found.document["messages"]) == 1
        assert found.contents == ["0", "1", "2", "3", "4"]


class TestSealing:
    @pytest.mark.parametrize(("kilobytes", "is_beside"), [(1, False), (200, True)])
    async def test_of_big_changes_leaves_the_event_loop_to_others(
        self,
        actor: Actor,
        commits: CommitQueue,
        constants: pytest.MonkeyPatch,
        kilobytes: int,
        is_beside: bool,  # noqa: FBT001  # a case
    ) -> None:
        codec, threads = sealing(), list[int]()
        constants.setattr(commits.store, "codec", codec)
        begun = await start(actor, commits)
        seal = codec.keys.seal

        def watched(*given: Any) -> bytes:
            threads.append(threading.get_ident())
            return seal(*given)

        constants.setattr(codec.keys, "seal", watched)
        await append(actor, commits, begun, **heavy(kilobytes))

        assert threads
        assert (threading.get_ident() not in threads) is is_beside


class TestWaiting:
    async def test_continues_if_one_of_them_is_refused(
        self, actor: Actor, commits: CommitQueue, gate: Gate
    ) -> None:
        gate.opened.set()

        def decide(working: WorkingCopy) -> int:
            return int(working.fields["version"])

        nowhere = Change[int](
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_UPDATE,
            where=("_id", ObjectId()),
            decide=decide,
            size=BIG + 1,
        )
        begun = await start(actor, commits)
        outcomes = await asyncio.gather(
            commits.submit(nowhere),
            append(actor, commits, begun, **heavy()),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], Exception)
        assert isinstance(outcomes[1], Appended)
        await commits.drain()
        await append(actor, commits, begun, **heavy())

    @pytest.mark.parametrize("is_beside", [True, False])
    async def test_pauses_between_big_ones_beside_small_ones(
        self,
        actor: Actor,
        commits: CommitQueue,
        gate: Gate,
        constants: pytest.MonkeyPatch,
        is_beside: bool,  # noqa: FBT001  # a case
    ) -> None:
        gate.opened.set()
        begun = [await start(actor, commits) for _ in range(2)]
        constants.setattr(queue, "RECENT", 1e9 if is_beside else 0.0)
        constants.setattr(queue, "MOST_PAUSE", 1e9)
        loop, pauses = asyncio.get_running_loop(), list[float]()
        call_later = loop.call_later

        def watched(delay: float, act: Any, *given: Any) -> Any:
            if act == commits._admit_big:
                pauses.append(delay)
                delay = 0.0
            return call_later(delay, act, *given)

        constants.setattr(loop, "call_later", watched)
        await asyncio.gather(*(append(actor, commits, each, **heavy()) for each in begun))
        await commits.drain()
        assert all(each > 0.0 for each in pauses)
        assert bool(pauses) is is_beside
