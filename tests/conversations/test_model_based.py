"""Random histories against a simple list as the model, with bounds so tiny that all moves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.attachments.service import list_attached
from chatvault.audit.recorder import Recorder
from chatvault.conversations import service
from chatvault.conversations.codec import ContentCodec, PlainCodec
from chatvault.conversations.commits import bulk, garbage
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.lists import service as list_service
from chatvault.conversations.lists.service import ListRequest
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages import service as message_service
from chatvault.conversations.messages.append_service import Appended
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.reading import pages as reading
from chatvault.conversations.reading.pages import ConversationView, PageRequest
from chatvault.conversations.reading.wire import conversation_wire
from chatvault.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationUpdate,
    MessageEdit,
    MessageIn,
    to_stored,
)
from chatvault.conversations.shapes import StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.encoding import to_json
from chatvault.errors import ChatvaultError, MessageIdTaken, NotFound, NotLastAnswer
from chatvault.fields import now
from chatvault.idempotency import IdempotencyKey
from conftest import HttpClient
from support.codecs import sealing
from support.examples import examples
from support.factories import message
from support.stored import somebody, stored, tiny_bounds

ANY = Precondition()


class Said(NamedTuple):
    """A message as the model knows it; removed where it has no content."""

    id: str
    role: str
    content: str | None
    version: int = 1


class Step(NamedTuple):
    """One operation: its name, which of the two processes does it, and three small numbers."""

    name: str
    process: int
    a: int
    b: int
    c: int


@dataclass
class Model:
    """What should be there."""

    messages: list[Said] = field(default_factory=list)
    first_seq: int = 0
    version: int = 1
    title: str = "New Conversation"
    audited: int = 0

    @property
    def next_seq(self) -> int:
        return self.first_seq + len(self.messages)

    @property
    def not_deleted(self) -> list[tuple[int, Said]]:
        numbered = enumerate(self.messages, self.first_seq)
        return [(seq, each) for seq, each in numbered if each.content is not None]

    def append(self, new: list[Said]) -> int:
        """Returns how many were new; raises where an id is taken."""
        known = {each.id: each for each in self.messages}
        for each in new:
            there = known.get(each.id)
            if there and (there.role, there.content) != (each.role, each.content):
                raise MessageIdTaken
        fresh = [each for each in new if each.id not in known]
        self.messages += fresh
        self.version += bool(fresh)
        return len(fresh)

    def replace(self, new: list[Said]) -> None:
        self.first_seq = self.next_seq
        self.messages = list(new)
        self.version += 1

    def edit(self, seq: int, content: str | None) -> None:
        old = self.messages[seq - self.first_seq]
        version = old.version + 1
        self.messages[seq - self.first_seq] = Said(old.id, old.role, content, version)
        self.version += 1


def said(number: int, *, prefix: str = "") -> Said:
    """The message with this number; few numbers make for many repeats."""
    return Said(f"{prefix}m{number}", ("user", "assistant")[number % 2], f"{prefix}{number}")


def shown_in(view: ConversationView) -> list[tuple[int, str, str]]:
    """Return the messages of a conversation as it is shown."""
    messages = orjson.loads(to_json(conversation_wire(view)))["messages"]
    return [(each["seq"], each["id"], each["content"]) for each in messages]


def triples(messages: list[StoredMessage]) -> list[tuple[int, str, str]]:
    return [(each.seq, each.message["id"], each.message["content"]) for each in messages]


def to_in(each: Said, **more: Any) -> MessageIn:
    return MessageIn.model_validate(message(each.content or "", each.role, id=each.id, **more))


class World:
    """Two processes on one conversation, and the model beside it."""

    def __init__(self, database: Any, codec: ContentCodec) -> None:
        self.codec = codec
        self.database = database
        self.actor: Actor = somebody()
        self.recorder = Recorder()
        self.lanes = [CommitQueue(MessageStore(codec)), CommitQueue(MessageStore(codec))]
        self.model = Model()
        self.id = ObjectId()
        self.made = 0

    def commits(self, step: Step) -> CommitQueue:
        return self.lanes[step.process]

    def fresh(self) -> str:
        self.made += 1
        return f"f{self.made}-"

    async def begin(self) -> None:
        wanted = ConversationCreate.model_validate({})
        self.id = await service.create(self.actor, self.lanes[0], wanted=wanted)
        self.model.audited += 1

    def pick(self, number: int) -> tuple[int, Said] | None:
        """Some place, and what the model has there."""
        if not self.model.messages:
            return None
        place = number % len(self.model.messages)
        return self.model.first_seq + place, self.model.messages[place]

    async def put(self, commits: CommitQueue, new: list[Said]) -> int:
        body = {"messages": [message(each.content or "", each.role, id=each.id) for each in new]}
        return await service.update(
            self.actor,
            commits,
            conversation_id=self.id,
            wanted=ConversationUpdate.model_validate(body),
            precondition=ANY,
        )

    async def send(
        self, commits: CommitQueue, new: list[Said], idempotency_key: IdempotencyKey | None = None
    ) -> Appended:
        return await append_service.append(
            self.actor,
            commits,
            conversation_id=self.id,
            wanted=[to_in(each) for each in new],
            idempotency_key=idempotency_key,
        )

    # Operations, one at a time.

    async def append(self, step: Step) -> None:
        await self._append(step, [said(step.a)])

    async def append_new(self, step: Step) -> None:
        await self._append(step, [said(step.a, prefix=self.fresh())])

    async def batch(self, step: Step) -> None:
        prefix = self.fresh() if step.c % 2 else ""
        await self._append(step, [said(step.a + n, prefix=prefix) for n in range(step.b % 7 + 1)])

    async def _append(
        self, step: Step, new: list[Said], idempotency_key: IdempotencyKey | None = None
    ) -> None:
        try:
            count = self.model.append(new)
        except MessageIdTaken:
            with pytest.raises(MessageIdTaken):
                await self.send(self.commits(step), new)
            return
        answer = await self.send(self.commits(step), new, idempotency_key)
        self.model.audited += 1
        assert answer.repeated == len(new) - count
        assert answer.version == self.model.version
        assert answer.total_messages == len(self.model.not_deleted)
        places = {each.id: seq for seq, each in enumerate(self.model.messages)}
        first = self.model.first_seq
        assert [(each.seq, each.message["id"]) for each in answer.messages] == [
            (first + places[each.id], each.id) for each in new
        ]

    async def repeat(self, step: Step) -> None:
        """The same key three times, from either process."""
        new = [said(step.a, prefix=self.fresh())]
        idempotency_key = IdempotencyKey("POST /x", new[0].id, "hash")
        await self._append(step, new, idempotency_key)
        for commits in self.lanes:
            answer = await self.send(commits, new, idempotency_key)
            self.model.audited += 1
            assert (answer.version, answer.repeated) == (self.model.version, 0)
            assert [each.message["id"] for each in answer.messages] == [new[0].id]

    async def edit(self, step: Step) -> None:
        await self._change(step, f"edited {step.b}")

    async def remove(self, step: Step) -> None:
        await self._change(step, None)

    async def _change(self, step: Step, content: str | None) -> None:
        picked = self.pick(step.a)
        if picked is None:
            return
        seq, there = picked
        change = self.change(self.commits(step), there.id, content, (seq, there.version))
        if there.content is None:
            with pytest.raises(NotFound):
                await change
            return
        await change
        self.model.edit(seq, content)
        self.model.audited += 1

    async def change(
        self,
        commits: CommitQueue,
        message_id: str,
        content: str | None,
        version: tuple[int, int] | None,
    ) -> None:
        seen = ANY if version is None else Precondition(given=True, versions=frozenset({version}))
        if content is None:
            await message_service.remove(
                self.actor,
                commits,
                conversation_id=self.id,
                message_id=message_id,
                precondition=seen,
            )
        else:
            await message_service.edit(
                self.actor,
                commits,
                conversation_id=self.id,
                message_id=message_id,
                wanted=MessageEdit(content=content),
                precondition=seen,
            )

    async def replace(self, step: Step) -> None:
        """Small and bulk replacements, with ids that were there before or not."""
        prefix = self.fresh() if step.c % 2 else ""
        new = [said(step.b + n, prefix=prefix) for n in range(step.a)]
        assert await self.put(self.commits(step), new) == self.model.version + 1
        self.model.replace(new)
        self.model.audited += 1

    async def regenerate(self, step: Step) -> None:
        not_deleted = self.model.not_deleted
        wanted = not_deleted[-1 - step.a % 2][1].id if len(not_deleted) > 1 else "nothing"
        try:
            await self.replace_last(self.commits(step), wanted, f"again {step.b}")
        except NotLastAnswer:
            assert (
                not not_deleted
                or wanted != not_deleted[-1][1].id
                or not_deleted[-1][1].role != "assistant"
            )
            return
        seq, last = not_deleted[-1]
        assert (wanted, "assistant") == (last.id, last.role)
        self.model.edit(seq, f"again {step.b}")
        self.model.audited += 1

    async def replace_last(self, commits: CommitQueue, wanted: str, content: str) -> Appended:
        new = MessageIn.model_validate(message(content, "assistant", replaces=wanted))
        return await append_service.replace_last(
            self.actor, commits, conversation_id=self.id, wanted=new
        )

    async def rename(self, step: Step) -> None:
        self.model.title = f"T{step.a}"
        await service.update(
            self.actor,
            self.commits(step),
            conversation_id=self.id,
            wanted=ConversationPatch(title=self.model.title),
            precondition=Precondition(given=True, versions=frozenset({self.model.version})),
        )
        self.model.version += 1
        self.model.audited += 1

    # Reading.

    async def page(self, step: Step) -> None:
        not_deleted = self.model.not_deleted
        limit = step.b % 9 + 1
        place = self.model.first_seq + step.a - 2
        expected = {
            "before": [each for each in not_deleted if each[0] < place][-limit:],
            "after": [each for each in not_deleted if each[0] > place][:limit],
            "offset": not_deleted[step.a : step.a + limit],
        }
        kind = list(expected)[step.c % 3]
        chosen: dict[str, Any] = {kind: step.a if kind == "offset" else place}
        page = await message_service.list_page(
            self.actor,
            self.commits(step).store,
            self.recorder,
            conversation_id=self.id,
            wanted=PageRequest(limit=limit, **chosen),
        )
        self.model.audited += 1
        shown = triples(page.messages)
        assert shown == [(seq, each.id, each.content) for seq, each in expected[kind]]
        rest = {
            "before": [each for each in not_deleted if each[0] < place][:-limit],
            "after": [each for each in not_deleted if each[0] > place][limit:],
            "offset": not_deleted[step.a + limit :],
        }
        assert page.has_more is bool(rest[kind])
        assert page.total == len(not_deleted)

    async def read(self, step: Step) -> None:
        expected = [(seq, each.id, each.content) for seq, each in self.model.not_deleted]
        shown = await service.read_back(
            Access.of(self.actor), self.commits(step).store, conversation_id=self.id
        )
        assert shown_in(shown) == expected
        conversation = await self.commits(step).store.find_conversation(
            Access.of(self.actor), self.id
        )
        assert conversation is not None
        streamed = [
            each
            async for run in reading.stream(
                Access.of(self.actor), self.commits(step).store, conversation
            )
            for each in run
        ]
        assert triples(streamed) == expected
        listed = await list_service.list_page(
            self.actor,
            self.commits(step).store,
            self.recorder,
            list_attached,
            wanted=ListRequest(limit=5),
        )
        [one] = listed.whole
        assert shown_in(one) == expected

    # What goes wrong, and housekeeping.

    async def crash_bulk(self, step: Step) -> None:
        """A bulk write is abandoned before its flip."""
        new = to_stored([to_in(said(n, prefix="x")) for n in range(step.a % 12 + 6)], now())
        await bulk.write_generation(Access.of(self.actor), MessageStore(self.codec), new)

    async def crash_append(self, step: Step) -> None:
        """The process dies somewhere in an append; the client comes again with the same id."""
        new = [said(step.a, prefix=self.fresh())]
        commits = self.commits(step)
        sending = asyncio.create_task(self.send(commits, new))
        for _ in range(step.b):
            await asyncio.sleep(0)
        await asyncio.sleep(step.c / 10_000)
        for running in list(commits._running):
            running.cancel()
        outcome = (await asyncio.gather(sending, return_exceptions=True))[0]
        await self.restart(step)
        self.model.append(new)
        again = await self.send(self.commits(step), new)
        assert again.version == self.model.version
        # What the dead process did is done by now, or never will be.
        entries = await self.successes() - self.model.audited
        assert entries == 1 + again.repeated
        assert again.repeated or isinstance(outcome, BaseException)
        self.model.audited += entries

    async def restart(self, step: Step) -> None:
        await self.lanes[step.process].drain()
        self.lanes[step.process] = CommitQueue(MessageStore(self.codec))

    async def sweep(self, step: Step) -> None:
        mine = {"user_id": self.actor.owner_id}
        await self.database["retired"].update_many(mine, {"$set": {"due_at": datetime.now(UTC)}})
        await asyncio.sleep(0.002)
        await garbage.sweep(self.commits(step).store)
        conversation = await self.database["conversations"].find_one({"_id": self.id})
        generations = await self.database["segments"].distinct("generation", mine)
        assert generations in ([], [conversation["generation"]])

    # Several at once, on both processes.

    async def burst(self, step: Step) -> None:
        """Appends, replacements and regenerations, put in order by the versions they answered."""
        results: list[tuple[int, str, Any]] = []

        async def run(kind: str, number: int) -> None:
            commits = self.lanes[number % 2]
            new = [said(n, prefix=f"b{self.made}{number}-") for n in range(number % 4 + 1)]
            try:
                if kind == "put":
                    bulky = [said(n, prefix=f"p{number}-") for n in range(step.a % 14)]
                    results.append((await self.put(commits, bulky), kind, bulky))
                elif kind == "regenerate" and self.model.not_deleted:
                    wanted = self.model.not_deleted[-1][1].id
                    answer = await self.replace_last(commits, wanted, f"r{number}")
                    results.append((answer.version, kind, f"r{number}"))
                else:
                    answer = await self.send(commits, new)
                    results.append((answer.version, "append", new))
            except NotLastAnswer:
                pass

        self.made += 1
        kinds = ["append", "append", "put" if step.b % 3 == 0 else "append", "regenerate"]
        await asyncio.gather(*(run(kinds[(n + step.c) % 4], n) for n in range(8)))
        results.sort(key=lambda result: result[0])
        base = self.model.version
        assert [version for version, *_ in results] == list(
            range(base + 1, base + 1 + len(results))
        )
        for _, kind, what in results:
            if kind == "append":
                assert self.model.append(what) == len(what)
            elif kind == "put":
                self.model.replace(what)
            else:
                self.model.edit(self.model.not_deleted[-1][0], what)
        self.model.audited += len(results)

    async def scatter(self, step: Step) -> None:
        """Edits and removals of different messages beside appends, which commute."""
        targets = self.model.not_deleted[step.a % 3 :: 3][:6]
        prefix = self.fresh()
        changes: list[Any] = []
        for place, (seq, there) in enumerate(targets):
            content = None if place % 2 else f"s{step.b}"
            seen = (seq, there.version)
            changes.append(self.change(self.lanes[place % 2], there.id, content, seen))
        changes += [self.send(self.lanes[n % 2], [said(n, prefix=prefix)]) for n in range(4)]
        outcomes = await asyncio.gather(*changes, return_exceptions=True)
        assert not [each for each in outcomes if isinstance(each, BaseException)]
        for place, (seq, _) in enumerate(targets):
            self.model.edit(seq, None if place % 2 else f"s{step.b}")
        appended = [each for each in outcomes if isinstance(each, Appended)]
        for each in sorted(appended, key=lambda answer: answer.messages[0].seq):
            seq, new, _ = each.messages[0]
            assert seq == self.model.next_seq
            self.model.append([said(int(new["id"].rpartition("m")[2]), prefix=prefix)])
        self.model.audited += len(outcomes)

    async def successes(self) -> int:
        wanted = {"user_id": self.actor.owner_id, "outcome": "success"}
        wanted["action"] = {"$nin": ["conversation.list"]}
        return int(await self.database["audit_logs"].count_documents(wanted))

    async def check(self) -> None:
        for commits in self.lanes:
            await commits.drain()
        lies = await stored(self.database, self.id, self.codec)
        model = self.model
        assert (lies.document["first_seq"], lies.document["next_seq"]) == (
            model.first_seq,
            model.next_seq,
        )
        assert (lies.document["version"], lies.document["title"]) == (model.version, model.title)
        there = [
            (each["id"], each.get("role"), each.get("content"), each.get("version", 1))
            for each in lies.messages.values()
        ]
        assert there == [
            (each.id, None, None, 1) if each.content is None else tuple(each)
            for each in model.messages
        ]
        assert len(lies.document["messages"]) <= 4
        assert await self.successes() == model.audited


NAMES = [
    "append",
    "append_new",
    "append_new",
    "batch",
    "batch",
    "repeat",
    "edit",
    "edit",
    "remove",
    "remove",
    "replace",
    "regenerate",
    "rename",
    "page",
    "page",
    "read",
    "crash_bulk",
    "crash_append",
    "restart",
    "sweep",
    "burst",
    "scatter",
]
NUMBERS = st.integers(0, 25)
CODECS = st.sampled_from([PlainCodec, sealing])
STEPS = st.builds(Step, st.sampled_from(NAMES), st.integers(0, 1), NUMBERS, NUMBERS, NUMBERS)


class TestHistories:
    @settings(
        max_examples=examples(6, long=25),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(steps=st.lists(STEPS, min_size=10, max_size=30), codec=CODECS)
    async def test_match_the_model(
        self,
        http: HttpClient,
        database: Any,
        monkeypatch: pytest.MonkeyPatch,
        steps: list[Step],
        codec: Callable[[], ContentCodec],
    ) -> None:
        tiny_bounds(monkeypatch)
        world = World(database, codec())
        await world.begin()
        for step in steps:
            try:
                await getattr(world, step.name)(step)
            except ChatvaultError as error:
                raise AssertionError(f"{step}: {error!r}") from error
            await world.check()
