"""Erasure of a guest, and of an owner."""

from typing import Any

import pytest
from bson import ObjectId

from chatvault.conversations.routes import COMMITS
from chatvault.conversations.trash.authored import remove_authored
from chatvault.documents import HOLDS
from conftest import HttpClient
from support.factories import begin, message
from support.granting import at, grant

WORD = "Zwetschgenknödel"


async def _texts(database: Any) -> str:
    """Return everything that is stored, but for the audit log."""
    names = await database.list_collection_names()
    found = [
        each
        for name in names
        if name not in {"audit_logs", "users"} and not name.startswith("system.")
        async for each in database[name].find()
    ]
    return str(found)


class TestAuthor:
    @pytest.mark.parametrize("where", ["shown", "in the trash"])
    async def test_takes_their_messages_along(
        self, alice: HttpClient, bob: HttpClient, app: Any, database: Any, where: str
    ) -> None:
        many = [message(f"hers {each}", id=f"a{each}") for each in range(60)]
        conversation = await begin(alice, messages=many)
        given = await grant(alice, conversation, "bob", "editor")
        path = at(conversation, "/messages")
        for each in range(3):
            await bob.post(path, json=message(f"{WORD} {each}"))
        # One in a segment, and one that Alice has edited since.
        await bob.patch(at(conversation, "/messages/a1"), json={"content": WORD})
        await bob.patch(at(conversation, "/messages/a58"), json={"content": WORD})
        await alice.patch(at(conversation, "/messages/a58"), json={"content": "hers again"})
        if where == "in the trash":
            await alice.delete(at(conversation))

        assert await remove_authored(app[COMMITS], ObjectId(given["user_id"])) == 5
        assert await remove_authored(app[COMMITS], ObjectId(given["user_id"])) == 0

        assert WORD not in await _texts(database)
        await alice.post(at(conversation, "/restore"))
        page = await (await alice.get(f"{path}?limit=200")).json()
        left = [each["content"] for each in page["messages"]]
        assert len(left) == 60
        # She wrote it, and he only edited it.
        assert left[1] == "hers 1"
        assert left[-2:] == ["hers again", "hers 59"]

    async def test_leaves_what_others_wrote(
        self, alice: HttpClient, bob: HttpClient, app: Any, database: Any
    ) -> None:
        conversation = await begin(alice, messages=[message("hers")])
        own = await begin(bob, messages=[message("his own")])
        await grant(alice, conversation, "bob", "editor")

        assert await remove_authored(app[COMMITS], ObjectId(own["user_id"])) == 0

        assert (await (await alice.get(at(conversation))).json())["total_messages"] == 1
        assert (await (await bob.get(at(own))).json())["total_messages"] == 1


class TestAccounts:
    @pytest.mark.parametrize("who", ["owner", "grantee"])
    async def test_end_their_grants(
        self, alice: HttpClient, bob: HttpClient, database: Any, who: str
    ) -> None:
        conversation = await begin(alice)
        given = await grant(alice, conversation, "bob", "editor")
        user_id = ObjectId(conversation["user_id"] if who == "owner" else given["user_id"])
        which = HOLDS["grants"].erased_with(user_id)

        assert await database.grants.count_documents(which) == 1
        assert await database.grants.count_documents(HOLDS["grants"].erased_with(ObjectId())) == 0
