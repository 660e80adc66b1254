import asyncio

from chatvault.mongodb.batching import TURNS, Batcher


class Recording:
    """Doubles numbers, and remembers in which batches they came."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.most = 0
        self.error: Exception | None = None

    async def run(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        if self.error:
            raise self.error
        return [item * 2 for item in items]


class TestBatcher:
    async def test_returns_to_each_item_its_own_answer(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=10)

        answers = await asyncio.gather(*(batcher.submit(number) for number in range(25)))

        assert answers == [number * 2 for number in range(25)]

    async def test_joins_waiting_items_in_one_round_trip(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=10)

        await asyncio.gather(*(batcher.submit(number) for number in range(25)))

        assert [len(batch) for batch in recording.batches] == [10, 10, 5]
        assert recording.most == 1

    async def test_adds_no_item_to_a_running_round_trip(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=10)
        first = asyncio.create_task(batcher.submit(1))
        for _ in range(TURNS + 2):
            await asyncio.sleep(0)
        assert recording.running
        second = asyncio.create_task(batcher.submit(2))

        assert [await first, await second] == [2, 4]
        assert recording.batches == [[1], [2]]

    async def test_waits_briefly_for_items_of_the_next_turn(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=10)

        async def submit_a_turn_later() -> int:
            await asyncio.sleep(0)
            return await batcher.submit(2)

        await asyncio.gather(batcher.submit(1), submit_a_turn_later())

        assert recording.batches == [[1, 2]]

    async def test_limits_concurrent_round_trips(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=1, concurrency=3)

        await asyncio.gather(*(batcher.submit(number) for number in range(12)))

        assert recording.most == 3

    async def test_accepts_an_item_while_it_answers_the_last(self) -> None:
        batcher = Batcher(Recording().run, max_size=10)

        async with asyncio.timeout(60):
            answers = [await batcher.submit(number) for number in range(50)]

        assert answers == [number * 2 for number in range(50)]

    async def test_raises_a_failure_for_the_whole_batch_and_continues(self) -> None:
        recording = Recording()
        batcher = Batcher(recording.run, max_size=10)
        recording.error = ValueError("broken")

        outcomes = await asyncio.gather(
            *(batcher.submit(number) for number in range(3)), return_exceptions=True
        )
        recording.error = None

        assert all(isinstance(outcome, ValueError) for outcome in outcomes)
        assert await batcher.submit(4) == 8

    async def test_fails_waiting_items_after_a_time_out(self) -> None:
        class TimedOut(Exception):
            timeout = True

        recording = Recording()
        recording.error = TimedOut()
        batcher = Batcher(recording.run, max_size=1)

        outcomes = await asyncio.gather(
            *(batcher.submit(number) for number in range(5)), return_exceptions=True
        )

        assert all(isinstance(outcome, TimedOut) for outcome in outcomes)
        assert len(recording.batches) == 1

    async def test_answers_the_others_if_one_is_cancelled(self) -> None:
        batcher = Batcher(Recording().run, max_size=10)
        waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
        await asyncio.sleep(0)

        waiting[1].cancel()

        assert [await waiting[0], await waiting[2]] == [0, 4]
