"""A replica kept from entries and reads by `seq` alone equals the store, whatever happened."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from chatvault.settings import Settings
from support.examples import examples
from support.histories import Act, World
from support.replica import Replica

NAMES = [
    "create", "create", "create_bulk", "create_again", "open", "patch", "patch", "put", "put",
    "archive", "delete", "restore", "delete_permanently", "bring_in", "bring_in",
    "append", "append", "append_again", "batch", "batch", "edit", "edit", "remove", "remove",
    "replace_last", "fork", "fork", "show_branch",
    "reply", "regenerate", "complete", "fail", "summarize", "cancel",
    "propose", "propose", "approve", "approve", "reject", "execute",
]  # fmt: skip
NUMBERS = st.integers(0, 11)
ACTS = st.builds(Act, st.sampled_from(NAMES), st.integers(0, 1), NUMBERS, NUMBERS)
# What is in one list happens at once; after some of them the follower stops and goes on.
ROUNDS = st.tuples(st.lists(ACTS, min_size=1, max_size=4), st.integers(0, 4))


@pytest.fixture
def settings(tool_settings: Settings) -> Settings:
    return tool_settings


class TestReplica:
    @bounds(
        max_examples=examples(4, long=15),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    @given(history=st.lists(ROUNDS, min_size=5, max_size=12))
    async def test_equals_the_store(
        self, world: World, history: list[tuple[list[Act], int]]
    ) -> None:
        await world.perform(Act("delete_all"))
        await world.settle()
        replica = Replica(world.database, world.actor)
        await replica.start()
        try:
            await world.perform(Act("create", a=2))
            for acts, stops in history:
                await asyncio.gather(*map(world.perform, acts))
                if not stops:
                    await replica.stop()
                    await replica.start()
            await world.settle()
            await replica.catch_up()
        finally:
            await replica.stop()
        assert replica.conversations == await world.look()
