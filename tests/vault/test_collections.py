"""Collections that seal the words that their documents declare, without their rooms' help."""

import copy
import secrets
from pathlib import Path
from typing import Any

import pytest
from beanie import Document
from bson import ObjectId
from pymongo import DeleteOne, InsertOne, UpdateMany, UpdateOne

from chatvault.actor import Actor, Door
from chatvault.agents.models import Agent
from chatvault.audit.recorder import Recorder
from chatvault.conversations.categories import Categories
from chatvault.conversations.converting import Converter
from chatvault.conversations.opening import store_with
from chatvault.documents import DOCUMENTS
from chatvault.importing.models import ImportJob
from chatvault.settings import Settings
from chatvault.vault.collections import SealedCollection, Vault
from chatvault.vault.fields import ContentUnreadable, SealedFields
from support.factories import settings_for

OPERATOR = Actor(door=Door.CLI)
WORD = "nobody reads this"
GENERAL = [
    each for each in DOCUMENTS if vars(each)["holds"].words and not vars(each)["holds"].has_codec
]
each = pytest.mark.parametrize("document", GENERAL)
pytestmark = pytest.mark.usefixtures("http")


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return settings_for(data_dir, master_keys="07" * 32)


def sealed(document: type[Document]) -> SealedCollection:
    found: Any = document.get_pymongo_collection()
    assert isinstance(found, SealedCollection)
    return found


def sample(document: type[Document], **more: Any) -> dict[str, Any]:
    """A document with a word in each field that is declared."""
    holds = vars(document)["holds"]
    names = {path.partition(".")[0] for path in holds.words}
    made: dict[str, Any] = dict.fromkeys({"user_id", holds.owner}, ObjectId()) | {
        name: secrets.token_hex(4) for name in holds.bound_to
    }
    for name in names:
        inner = [path.partition(".")[2] for path in holds.words if path.startswith(f"{name}.")]
        made[name] = [dict.fromkeys(inner, WORD), {}] if inner else _value(document, name)
    return (
        made
        | {"_id": ObjectId(), "key_hash": secrets.token_bytes(8), "first": secrets.randbits(31)}
        | more
    )


def _value(document: type[Document], name: str) -> Any:
    annotation = str(document.model_fields[name].annotation)
    if "Any" in annotation and "[" not in annotation:
        return WORD.encode()
    if "list" in annotation:
        return [{"text": WORD}, WORD]
    return {WORD: [WORD]} if "dict" in annotation else WORD


async def stored_of(document: type[Document], made: dict[str, Any]) -> dict[str, Any]:
    found = await sealed(document).plain.find_one({"_id": made["_id"]})
    assert found is not None
    return found


def whose(made: dict[str, Any]) -> dict[str, Any]:
    return {"_id": made["_id"], "user_id": made["user_id"]}


def changes_of(document: type[Document], made: dict[str, Any]) -> dict[str, Any]:
    return {name: made[name] for name in sealed(document).fields.within}


async def convert(document: type[Document], *, seals: bool) -> int:
    collection = sealed(document)
    vault = Vault(collection.vault.keys, seals=seals)
    fields = SealedFields(document, vault.keys, vault.damage, seals=seals)
    others = [SealedCollection(collection.plain, vault, fields)]
    done = await Converter(store_with(vault, Recorder()), others=others).run(OPERATOR, Recorder())
    assert not done.unreadable
    return done.documents


class TestEachCollection:
    @each
    async def test_seals_by_each_write_and_opens_by_each_read(
        self, document: type[Document]
    ) -> None:
        one, two, three, four = (sample(document, no=n, file=n) for n in range(4))
        collection = sealed(document)
        await collection.insert_one(copy.deepcopy(one))
        await collection.insert_many([copy.deepcopy(two)])
        statements: list[Any] = [InsertOne(copy.deepcopy(three)), DeleteOne(whose(one))]
        for _ in range(2):  # as a transaction does that is tried again
            await collection.bulk_write(statements)
            await collection.delete_many(whose(three))
        await collection.bulk_write(statements)
        names = sealed(document).fields.identifying
        empty = {**four, **dict.fromkeys(changes_of(document, four))}
        await collection.insert_one(empty)
        place = {**whose(four), **{name: four[name] for name in names}}
        await collection.update_one(place, {"$set": changes_of(document, four)})

        for made in (two, three, four):
            assert WORD not in str(await stored_of(document, made))
            assert await collection.find_one(whose(made)) == made
            assert [each async for each in collection.find(whose(made))] == [made]
            assert await collection.find(whose(made)).to_list() == [made]
            shown = await collection.find_one(whose(made), [*changes_of(document, made)])
            assert shown is not None
            assert changes_of(document, shown) == changes_of(document, made)

    @each
    async def test_does_not_open_what_was_copied(self, document: type[Document]) -> None:
        one = sample(document, no=1, file=1)
        of_user = {"user_id": one["user_id"]} if sealed(document).fields.bound_to else {}
        two = sample(document, no=2, file=2, **of_user)
        collection = sealed(document)
        await collection.insert_many([copy.deepcopy(one), copy.deepcopy(two)])
        taken = await stored_of(document, one)
        await collection.plain.update_one(whose(two), {"$set": changes_of(document, taken)})

        if collection.fields.are_bytes:
            with pytest.raises(ContentUnreadable):
                await collection.find_one(whose(two))
        else:
            found = await collection.find_one(whose(two))
            assert found is not None
            assert WORD not in str(found)
            # It is written back as it is.
            await collection.replace_one(whose(two), found)
        left = await stored_of(document, two)
        assert changes_of(document, left) == changes_of(document, taken)
        assert await collection.find_one(whose(one)) == one

    @each
    async def test_is_converted_and_back(self, document: type[Document]) -> None:
        collection = sealed(document)
        one, two = sample(document, no=1, file=1), sample(document, no=2, file=2)
        await collection.plain.insert_many([copy.deepcopy(one), copy.deepcopy(two)])
        assert await collection.find_one(whose(one)) == one

        assert await convert(document, seals=True) == 2
        assert WORD not in str(await stored_of(document, one))
        assert await collection.find_one(whose(one)) == one
        assert await convert(document, seals=True) == 0
        assert await convert(document, seals=False) == 2
        assert await stored_of(document, one) == one
        assert await convert(document, seals=False) == 0


class TestUpdates:
    async def test_of_a_pipeline_have_literals(self) -> None:
        jobs, one = sealed(ImportJob), sample(ImportJob, done=1)
        await jobs.insert_one(copy.deepcopy(one))
        stage = {"detail": {"$literal": "$done"}, "done": {"$add": ["$done", 1]}}

        found = await jobs.find_one_and_update(whose(one), [{"$set": stage}], return_document=True)

        assert found == one | {"detail": "$done", "done": 2}
        assert "$done" not in str(await stored_of(ImportJob, one))

    @pytest.mark.parametrize(
        "update",
        [
            {"$set": {"report.more": "words"}},
            {"$push": {"names": "words"}},
            [{"$replaceWith": {"$literal": {"detail": "words"}}}],
        ],
    )
    async def test_are_refused_that_would_store_words_readably(self, update: Any) -> None:
        jobs, one = sealed(ImportJob), sample(ImportJob)
        await jobs.insert_one(copy.deepcopy(one))

        with pytest.raises(RuntimeError):
            await jobs.update_one(whose(one), update)
        with pytest.raises(RuntimeError):
            await jobs.bulk_write([UpdateOne(whose(one), update)])

        assert await jobs.find_one(whose(one)) == one

    async def test_of_several_have_no_words(self) -> None:
        jobs = sealed(ImportJob)
        for change in (
            jobs.update_many({"user_id": ObjectId()}, {"$set": {"detail": "words"}}),
            jobs.bulk_write([UpdateMany({"user_id": ObjectId()}, {"$set": {"detail": "words"}})]),
        ):
            with pytest.raises(RuntimeError):
                await change
        done = await jobs.update_many({"user_id": ObjectId()}, {"$unset": {"detail": ""}})
        assert done.matched_count == 0

    async def test_leave_the_rest_of_a_list_alone(self) -> None:
        made = sample(Categories, categories=[{"id": n, "name": WORD} for n in (1, 2)], assigned=0)
        await sealed(Categories).insert_one(copy.deepcopy(made))
        one = {"user_id": made["user_id"], "categories.id": 2}

        done = await sealed(Categories).update_one(one, {"$inc": {"assigned": 1}})

        assert done.modified_count == 1
        stored = await stored_of(Categories, made)
        assert [each["id"] for each in stored["categories"]] == [1, 2]


class TestQueries:
    @pytest.mark.parametrize(
        "which", [{"name": WORD}, {"$or": [{"user_id": ObjectId()}, {"system_prompt": WORD}]}]
    )
    async def test_cannot_look_at_what_is_sealed(self, which: dict[str, Any]) -> None:
        with pytest.raises(RuntimeError):
            sealed(Agent).find(which)
        with pytest.raises(RuntimeError):
            sealed(Agent).with_options().find(which)

    async def test_leave_out_what_they_do_not_need(self) -> None:
        one = sample(Agent)
        await sealed(Agent).insert_one(copy.deepcopy(one))

        assert await sealed(Agent).find_one(whose(one), {"user_id": True}) == whose(one)
        assert await sealed(Agent).find_one(whose(one), {"name": False}) == {
            name: value for name, value in one.items() if name != "name"
        }


class TestDamage:
    async def test_is_shown_and_audited_once(self, database: Any) -> None:
        one = sample(Agent)
        await sealed(Agent).insert_one(copy.deepcopy(one))
        lost = {"c": b"\1" * 40}
        await sealed(Agent).plain.update_one(whose(one), {"$set": {"name": lost}})

        found = None
        for _ in range(2):
            found = await sealed(Agent).find_one(whose(one))
            assert found == one | {"name": "[unreadable]"}
        assert found is not None
        await sealed(Agent).update_one(whose(one), {"$set": {"name": found["name"]}})

        assert (await stored_of(Agent, one))["name"] == lost
        entries = await database["audit_logs"].find({"action": "vault.damage"}).to_list()
        assert [each["details"] for each in entries] == [{"collection": "agents"}]
