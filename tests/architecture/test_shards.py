"""Queries name their shard: how the watching of each test's queries sees it."""

from types import FunctionType
from typing import Any

import pytest
from bson import ObjectId

from chatvault.documents import DOCUMENTS
from support.shards import ANY_SHARD, SHARD_KEYS, WATCH, names_key
from support.source import ROOT

KEY = ("user_id", "generation")
ONE = ObjectId()


class TestShardKeys:
    def test_name_existing_collections(self) -> None:
        names = {vars(document)["Settings"].name for document in DOCUMENTS}
        assert len(SHARD_KEYS) > 5
        assert SHARD_KEYS.keys() <= names

    def test_begin_with_the_owner(self) -> None:
        # Grants are asked for by the user whom they are for.
        keys = {name: key[0] for name, key in SHARD_KEYS.items()}
        assert keys.pop("grants") == "grantee_id"
        assert set(keys.values()) == {"user_id"}


class TestHasShardKey:
    @pytest.mark.parametrize(
        "filter_",
        [
            {"user_id": ONE, "generation": ONE},
            {"user_id": {"$eq": ONE}, "generation": {"$in": [ONE]}, "start": {"$lt": 5}},
            {"$and": [{"user_id": ONE}, {"generation": ONE}]},
            {"user_id": ONE, "$or": [{"generation": ONE}, {"generation": ONE, "start": 1}]},
        ],
    )
    def test_is_true_for_equalities(self, filter_: dict[str, Any]) -> None:
        assert names_key(filter_, KEY)

    @pytest.mark.parametrize(
        "filter_",
        [
            {},
            {"user_id": ONE},
            {"user_id": ONE, "generation": {"$in": [ONE, ONE]}},
            {"user_id": {"$gt": ONE}, "generation": ONE},
            {"generation": ONE, "$or": [{"user_id": ONE}, {"_id": 1}]},
        ],
    )
    def test_is_false_for_a_partial_key(self, filter_: dict[str, Any]) -> None:
        assert not names_key(filter_, KEY)


class TestQueryMonitor:
    async def test_finds_queries_of_the_service_without_a_key(self, database: Any) -> None:
        await self._ask(database, {})
        [wrong] = WATCH.take()
        assert "find of segments by []" in wrong

        await self._ask(database, {"user_id": ONE, "generation": ONE})
        assert WATCH.take() == []

    async def test_ignores_queries_of_tests(self, database: Any) -> None:
        await database.segments.find_one({})
        assert WATCH.take() == []

    @staticmethod
    async def _ask(database: Any, filter_: dict[str, Any]) -> None:
        """Ask as a module of the service does."""
        source = "async def ask(database, filter_): await database.segments.find_one(filter_)"
        module = compile(source, str(ROOT / "made_up.py"), "exec")
        [code] = [each for each in module.co_consts if hasattr(each, "co_code")]
        await FunctionType(code, {})(database, filter_)

    def test_exempts_existing_functions_only(self) -> None:
        for place, collection in ANY_SHARD:
            path, _, function = place.partition(": ")
            assert (ROOT / path).exists(), place
            assert not function or function.rpartition(".")[2] in (ROOT / path).read_text(), place
            assert collection in {*SHARD_KEYS, "*"}
