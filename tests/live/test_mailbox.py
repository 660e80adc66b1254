"""The mailbox of a connection and the ring of a process: bounded, in order, nothing twice."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from chatvault.live import mailbox as mailboxes
from chatvault.live.events import LiveEvent, first_id
from chatvault.live.mailbox import TOO_SLOW, Mailbox, Merged, Reset
from chatvault.live.ring import Ring

ALICE, BOB = ObjectId(), ObjectId()
START = first_id(Timestamp(1_000_000, 1))


def event(number: int, conversation: int = 0, user_id: ObjectId = ALICE) -> LiveEvent:
    return LiveEvent(
        id=first_id(Timestamp(1_000_000, 10 + number)) + "2B",
        user_id=user_id,
        type="conversation.updated",
        conversation_id=str(conversation),
        version=number,
        places=range(0),
        request_id="-",
        more={},
    )


def new_mailbox() -> Mailbox:
    made = Mailbox(ALICE, ObjectId(), lambda: False)
    made.begin(START, ())
    return made


def take_all(mailbox: Mailbox) -> list[Any]:
    found: list[Any] = []
    while items := mailbox.take():
        found += items
    return found


class TestMailbox:
    def test_gives_events_in_order(self) -> None:
        mailbox = new_mailbox()
        events = [event(number) for number in range(200)]
        for each in events:
            mailbox.push(each)

        assert take_all(mailbox) == events
        assert mailbox.position == events[-1].id
        assert mailbox.is_empty

    def test_merges_what_is_too_much(self) -> None:
        mailbox = new_mailbox()
        for number in range(1000):
            mailbox.push(event(number, number % 3))

        found = take_all(mailbox)

        assert found == [
            Merged(event(997, 1), is_last=False),
            Merged(event(998, 2), is_last=False),
            Merged(event(999, 0), is_last=True),
        ]

    def test_can_be_resumed_from_only_when_all_merged_ones_are_sent(self) -> None:
        mailbox = new_mailbox()
        for number in range(1000):
            mailbox.push(event(number, number))
        mailbox.take()
        assert mailbox.position == START
        later = event(1000)
        mailbox.push(later)

        assert take_all(mailbox)[-2:] == [Merged(event(999, 999), is_last=True), later]
        assert mailbox.position == later.id

    def test_ends_for_one_who_is_much_too_slow(self) -> None:
        mailbox = new_mailbox()
        for number in range(mailboxes.MOST_MERGED + 2):
            mailbox.push(event(number, number))

        assert mailbox.closing == TOO_SLOW

    def test_gives_all_of_a_long_resumption(self) -> None:
        mailbox, events = new_mailbox(), [event(number) for number in range(2000)]
        mailbox.begin(START, events[:1900])
        for each in events[1900:]:
            mailbox.push(each)

        assert take_all(mailbox) == events

    def test_leaves_out_what_the_client_has_from_elsewhere(self) -> None:
        mailbox = new_mailbox()
        mailbox.begin(event(5).id, ())
        for number in range(10):
            mailbox.push(event(number))

        assert take_all(mailbox) == [event(number) for number in range(6, 10)]

    def test_resets_before_anything_else(self) -> None:
        mailbox = new_mailbox()
        mailbox.push(event(1))
        mailbox.reset("known", START)
        for number in range(1000):
            mailbox.push(event(number))

        assert take_all(mailbox)[0] == Reset("known", START)

    async def test_lets_pieces_wait(self) -> None:
        mailbox = new_mailbox()
        for number in range(mailboxes.MOST_PIECES):
            await mailbox.offer({"number": number})
        waiting = asyncio.create_task(mailbox.offer({"number": -1}))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert len(mailbox.take()) == mailboxes.MOST_PIECES
        await waiting
        assert mailbox.take() == [{"number": -1}]


class TestRing:
    def test_knows_what_came_after_an_id(self) -> None:
        ring = Ring()
        ring.begin(START)
        for number in range(10):
            ring.add(event(number, user_id=BOB if number % 2 else ALICE))

        assert ring.list_after(ALICE, START) == [event(number) for number in (0, 2, 4, 6, 8)]
        assert ring.list_after(ALICE, event(3).id) == [event(number) for number in (4, 6, 8)]
        assert ring.list_after(ALICE, event(9).id) == []
        assert ring.list_after(ObjectId(), START) == []
        assert ring.list_after(ALICE, "82") is None

    @pytest.mark.parametrize("how", [{"most_events": 3}, {"most_seconds": -1.0}])
    def test_forgets(self, how: dict[str, Any]) -> None:
        ring = Ring(**how)
        ring.begin(START)
        for number in range(10):
            ring.add(event(number, user_id=BOB if number % 2 else ALICE))

        kept = how.get("most_events", 0)
        assert len(ring) == kept
        assert ring.list_after(ALICE, START) is None
        found = ring.list_after(ALICE, event(9 - kept).id)
        assert found == [event(number) for number in range(10 - kept, 10) if not number % 2]

    @given(
        st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60),
        st.lists(st.integers(0, 60), max_size=8),
        st.integers(1, 70),
    )
    def test_gives_each_event_once_whenever_a_mailbox_is_resumed(
        self, told: list[tuple[bool, int]], breaks: list[int], most: int
    ) -> None:
        ring = Ring(most_events=most)
        ring.begin(START)
        mailbox, heard, hers = new_mailbox(), list[LiveEvent](), list[LiveEvent]()
        is_reset = False
        for number, (is_hers, conversation) in enumerate(told):
            made = event(number, conversation, ALICE if is_hers else BOB)
            ring.add(made)
            if is_hers:
                hers.append(made)
                mailbox.push(made)
            if number in breaks:
                # What was taken out and not received comes again.
                received: list[Any] = mailbox.take()[: number % 5]
                heard += received
                known = heard[-1].id if heard else START
                found = ring.list_after(ALICE, known)
                is_reset = is_reset or found is None
                mailbox.begin(known, found or [])
        heard += take_all(mailbox)

        assert is_reset or heard == hers
