"""Random histories of a conversation with branches, against a tree of plain lists."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit.recorder import Recorder
from chatvault.conversations import service
from chatvault.conversations.branches import service as branch_service
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.message_schemas import ActiveLeafIn
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages import service as message_service
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.reading.pages import PageRequest, read_consistently, stream
from chatvault.conversations.reading.paths import leaf_id_of
from chatvault.conversations.reading.wire import conversation_wire
from chatvault.conversations.schemas import (
    ConversationCreate,
    ConversationUpdate,
    MessageEdit,
    MessageIn,
)
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import ROOT
from chatvault.encoding import to_json
from conftest import HttpClient
from support.examples import examples
from support.factories import begin, message
from support.stored import somebody, tiny_bounds

ANY = Precondition()


class Step(NamedTuple):
    """One operation: its name, which of the two processes does it, and three small numbers."""

    name: str
    process: int
    a: int
    b: int
    c: int


@dataclass
class Model:
    """The parents of all messages, their contents, and the last message of the branch shown."""

    ids: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    contents: list[str | None] = field(default_factory=list)
    leaf: int = ROOT
    first_seq: int = 0

    @property
    def path(self) -> list[int]:
        found, place = [], self.leaf
        while place != ROOT:
            found.append(place)
            place = self.parents[place]
        return found[::-1]

    @property
    def shown(self) -> list[tuple[int, str]]:
        """The messages of the branch that are not deleted: place and content."""
        pairs = ((place, self.contents[place]) for place in self.path)
        return [(place, content) for place, content in pairs if content is not None]

    def add(self, message_id: str, parent: int) -> None:
        self.ids.append(message_id)
        self.parents.append(parent)
        self.contents.append(message_id)
        self.leaf = len(self.ids) - 1

    def living(self, number: int) -> int | None:
        places = [place for place, content in enumerate(self.contents) if content is not None]
        return places[number % len(places)] if places else None


class World:
    """Two processes on one conversation, and the model beside it."""

    def __init__(self) -> None:
        self.actor: Actor = somebody()
        self.recorder = Recorder()
        self.queues = [CommitQueue(MessageStore()), CommitQueue(MessageStore())]
        self.model = Model()
        self.made = 0

    async def begin(self) -> None:
        self.id = await service.create(
            self.actor, self.queues[0], wanted=ConversationCreate(), idempotency_key=None
        )

    def queue(self, step: Step) -> CommitQueue:
        return self.queues[step.process]

    def fresh(self) -> str:
        self.made += 1
        return f"m{self.made}"

    def new(self, parent: int | None) -> MessageIn:
        """A message that names its parent, or None for the one shown last."""
        named: dict[str, Any] = {}
        if parent is not None:
            named["parent_id"] = None if parent == ROOT else self.model.ids[parent]
        name = self.fresh()
        return MessageIn.model_validate(message(name, id=name, **named))

    async def append(self, step: Step) -> None:
        for _ in range(step.a % 3 + 1):
            wanted = self.new(None)
            await self.send(step, [wanted])
            self.model.add(wanted.content, self.model.leaf)

    async def fork(self, step: Step) -> None:
        place = self.model.living(step.a)
        parent = ROOT if place is None or step.b == 0 else place
        wanted = self.new(parent)
        await self.send(step, [wanted])
        self.model.add(wanted.content, parent)

    async def regenerate(self, step: Step) -> None:
        """Again and again at the end, as a person does who does not like an answer."""
        for _ in range(step.b % 4):
            if self.model.leaf == ROOT:
                return
            parent = self.model.parents[self.model.leaf]
            if parent != ROOT and self.model.contents[parent] is None:
                return
            wanted = self.new(parent)
            await self.send(step, [wanted])
            self.model.add(wanted.content, parent)

    async def bush(self, step: Step) -> None:
        """Several messages in one request, some of which follow each other."""
        length = len(self.model.ids)
        batch: list[MessageIn] = []
        parents: list[int] = []
        for number in range(step.a % 4 + 1):
            if number == 0 or (step.b + number) % 3 == 0:
                batch.append(self.new(None))
                parents.append(length + number - 1 if number else self.model.leaf)
                continue
            inside = (step.c + number) % number
            name = self.fresh()
            named = message(name, id=name, parent_id=batch[inside].id)
            batch.append(MessageIn.model_validate(named))
            parents.append(length + inside)
        await self.send(step, batch)
        for wanted, parent in zip(batch, parents, strict=True):
            self.model.add(wanted.content, parent)

    async def send(self, step: Step, wanted: list[MessageIn]) -> None:
        for _ in range(step.c % 2 + 1):  # a repeat changes nothing
            await append_service.append(
                self.actor, self.queue(step), conversation_id=self.id, wanted=wanted
            )

    async def show(self, step: Step) -> None:
        place = self.model.living(step.a)
        if place is None:
            return
        to_end = bool(step.b % 2)
        wanted = ActiveLeafIn(message_id=self.model.ids[place], to_end=to_end)
        shown = await branch_service.show_branch(
            self.actor, self.queue(step), conversation_id=self.id, wanted=wanted
        )
        begun, ends = place, [place]
        while children := [
            each for each, up in enumerate(self.model.parents) if to_end and up == ends[-1]
        ]:
            ends.append(max(children))
        self.model.leaf = next(
            each for each in reversed(ends) if each == begun or self.model.contents[each]
        )
        assert shown.message_id == self.model.ids[self.model.leaf]

    async def remove(self, step: Step) -> None:
        place = self.model.living(step.a)
        if place is None:
            return
        await message_service.remove(
            self.actor,
            self.queue(step),
            conversation_id=self.id,
            message_id=self.model.ids[place],
            precondition=ANY,
        )
        self.model.contents[place] = None

    async def edit(self, step: Step) -> None:
        place = self.model.living(step.a)
        if place is None:
            return
        content = f"e{step.b}"
        await message_service.edit(
            self.actor,
            self.queue(step),
            conversation_id=self.id,
            message_id=self.model.ids[place],
            wanted=MessageEdit(content=content),
            precondition=ANY,
        )
        self.model.contents[place] = content

    def invent(self, step: Step) -> tuple[Model, list[Any]]:
        """Messages for a whole conversation, some of which follow another than the one before."""
        new, wanted = Model(), list[Any]()
        for number in range(step.a % 12):
            name = self.fresh()
            named: dict[str, Any] = {}
            parent = number - 1
            if number and (step.b + number) % 3 == 0:
                parent = (step.c * number) % number
                named = {"parent_id": new.ids[parent]}
            elif number > 1 and step.c % 2:
                parent = number - 2
                named = {"parent_id": new.ids[parent]}
            wanted.append(message(name, id=name, **named))
            new.add(name, parent)
        return new, wanted

    async def create(self, step: Step) -> None:
        """Go on with another conversation, which has messages from the beginning."""
        self.model, wanted = self.invent(step)
        self.id = await service.create(
            self.actor,
            self.queue(step),
            wanted=ConversationCreate.model_validate({"messages": wanted}),
            idempotency_key=None,
        )

    async def put(self, step: Step) -> None:
        """Replace all messages, some of which follow another than the one before."""
        new, wanted = self.invent(step)
        new.first_seq = self.model.first_seq + len(self.model.ids)
        titled = {"title": "Another"} if step.b % 2 else {}
        await service.update(
            self.actor,
            self.queue(step),
            conversation_id=self.id,
            wanted=ConversationUpdate.model_validate({"messages": wanted, **titled}),
            precondition=Precondition(given=True, versions=frozenset(range(1, 1000))),
        )
        self.model = new

    async def check(self, step: Step) -> None:
        access, store = Access.of(self.actor), self.queue(step).store
        model, first = self.model, self.model.first_seq
        expected = [(place + first, content) for place, content in model.shown]

        async def read(conversation: ConversationDoc) -> ConversationDoc:
            return conversation

        conversation = await read_consistently(access, store, self.id, read)
        assert conversation["total_messages"] == len(expected)
        if model.ids:
            assert leaf_id_of(conversation) == model.ids[model.leaf]
        streamed = [each async for run in stream(access, store, conversation) for each in run]
        assert seen(streamed) == expected
        place = first + step.a - 1
        await self.page(step, {"before": place}, lambda some: [e for e in some if e[0] < place])
        await self.page(step, {"after": place}, lambda some: [e for e in some if e[0] > place])
        await self.page(step, {"offset": step.b}, lambda some: some[step.b :])
        opened = await service.get(self.actor, store, self.recorder, conversation_id=self.id)
        wire = json.loads(to_json(conversation_wire(opened)))
        assert [(each["seq"], each["content"]) for each in wire["messages"]] == expected
        assert not wire["messages_truncated"]

    async def page(
        self,
        step: Step,
        chosen: dict[str, Any],
        choose: Callable[[list[tuple[int, str]]], list[tuple[int, str]]],
    ) -> None:
        model, first, limit = self.model, self.model.first_seq, step.c % 7 + 1
        everything = [
            (place + first, content)
            for place, content in enumerate(model.contents)
            if content is not None
        ]
        shown = [(place + first, content) for place, content in model.shown]
        for whole, some in ((False, shown), (True, everything)):
            page = await message_service.list_page(
                self.actor,
                self.queue(step).store,
                self.recorder,
                conversation_id=self.id,
                wanted=PageRequest(limit=limit, whole=whole, **chosen),
            )
            wanted = choose(some)
            cut = wanted[-limit:] if "before" in chosen else wanted[:limit]
            assert seen(page.messages) == cut
            assert page.total == len(some)
            assert page.has_more == (len(wanted) > limit)
            if whole:
                parents = [model.parents[each.seq - first] for each in page.messages]
                named = [None if up == ROOT else model.ids[up] for up in parents]
                assert [each.message["parent_id"] for each in page.messages] == named

    async def forks(self, step: Step) -> None:
        page = await branch_service.list_forks(
            self.actor,
            self.queue(step).store,
            self.recorder,
            conversation_id=self.id,
            limit=100,
            before=None,
        )
        parents, path = self.model.parents, set(self.model.path)
        contents = self.model.contents

        def not_deleted(place: int) -> int:
            while place != ROOT and contents[place] is None:
                place = parents[place]
            return place

        following: dict[int, list[int]] = {}
        for place, up in enumerate(parents):
            if contents[place] is not None:
                following.setdefault(not_deleted(up), []).append(place)
        last_shown = max((place for place in path if contents[place] is not None), default=ROOT)
        expected = {up: some for up, some in following.items() if some[1:] or up == last_shown}
        assert {fork.parent: fork.children for fork in page.forks} == expected
        for fork in page.forks:
            assert {fork.active} - {None} == set(fork.children) & path
            assert [page.ids[each] for each in fork.children] == [
                self.model.ids[each] for each in fork.children
            ]


def seen(messages: list[StoredMessage]) -> list[tuple[int, str]]:
    return [(each.seq, each.message["content"]) for each in messages]


NAMES = [
    "append",
    "append",
    "fork",
    "fork",
    "regenerate",
    "regenerate",
    "bush",
    "show",
    "show",
    "remove",
    "edit",
    "forks",
    "put",
    "create",
]
NUMBERS = st.integers(0, 25)
STEPS = st.builds(Step, st.sampled_from(NAMES), st.integers(0, 1), NUMBERS, NUMBERS, NUMBERS)


class TestBranches:
    @settings(
        max_examples=examples(4, long=15),
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(steps=st.lists(STEPS, min_size=10, max_size=30))
    async def test_match_plain_lists_in_random_histories(
        self, http: HttpClient, constants: pytest.MonkeyPatch, steps: list[Step]
    ) -> None:
        tiny_bounds(constants)
        world = World()
        await world.begin()
        for step in steps:
            await getattr(world, step.name)(step)
            await world.check(step)


class TestManyRuns:
    @pytest.mark.parametrize("way", ["create", "replace"])
    async def test_can_be_read_at_once(
        self, alice: HttpClient, constants: pytest.MonkeyPatch, way: str
    ) -> None:
        tiny_bounds(constants)
        # Each follows the last but one, so that each is a run of its own.
        messages = [message(f"m{n}", id=f"m{n}") for n in range(3)]
        messages += [message(f"m{n}", id=f"m{n}", parent_id=f"m{n - 2}") for n in range(3, 30)]
        begun = await begin(alice, messages=messages if way == "create" else [])
        path = f"/conversations/{begun['id']}"
        if way == "replace":
            answer = await alice.put(path, json={"title": "Another", "messages": messages})
            assert answer.status == 200, await answer.text()
        answer = await alice.get(f"{path}/messages?limit=3")
        assert answer.status == 200
        page = await answer.json()
        assert [each["id"] for each in page["messages"]] == ["m0", "m1", "m3"]
        assert page["pagination"]["total"] == 16


class TestForks:
    async def test_of_many_messages_list_the_newest_and_the_active_one(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(branch_service, "MOST_OF_FORK", 3)
        answers = [message(f"m{n}", id=f"m{n}", parent_id="m0") for n in range(1, 7)]
        begun = await begin(alice, messages=[message("m0", id="m0"), *answers])
        path = f"/conversations/{begun['id']}"
        await alice.put(f"{path}/active-leaf", json={"message_id": "m2"})

        [fork] = (await (await alice.get(f"{path}/forks")).json())["forks"]

        assert [each["id"] for each in fork["messages"]] == ["m2", "m4", "m5", "m6"]
        assert (fork["total"], fork["active_id"]) == (6, "m2")

    async def test_fill_a_page_by_their_messages(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(branch_service, "MOST_OF_PAGE", 5)
        messages = [message("m0", id="m0")]
        messages += [
            message(f"m{n}", id=f"m{n}", parent_id=f"m{(n - 1) // 2}") for n in range(1, 9)
        ]
        begun = await begin(alice, messages=messages)
        path = f"/conversations/{begun['id']}/forks"

        first = await (await alice.get(path)).json()
        second = await (
            await alice.get(path, params={"before": first["forks"][-1]["parent_seq"]})
        ).json()

        parents = [[fork["parent_id"] for fork in page["forks"]] for page in (first, second)]
        assert parents == [["m3", "m2"], ["m1", "m0"]]
        assert (first["hasMore"], second["hasMore"]) == (True, False)

    async def test_list_a_message_after_the_last_one_shown(self, alice: HttpClient) -> None:
        begun = await begin(alice, messages=[message(f"m{n}", id=f"m{n}") for n in range(4)])
        path = f"/conversations/{begun['id']}"
        shown = {"message_id": "m1", "to_end": False}
        await alice.put(f"{path}/active-leaf", json=shown)

        [fork] = (await (await alice.get(f"{path}/forks")).json())["forks"]

        assert (fork["parent_id"], fork["active_id"]) == ("m1", None)
        assert [each["id"] for each in fork["messages"]] == ["m2"]
