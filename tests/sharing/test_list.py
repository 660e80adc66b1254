"""The list of what others share with me."""

from datetime import timedelta
from typing import Any

from chatvault.fields import now
from conftest import HttpClient, SignIn
from support.factories import begin
from support.granting import at, grant, revoke

SHARED = {"shared": "with_me"}


async def _titles(browser: HttpClient, **query: Any) -> list[str]:
    answer = await browser.get("/conversations", params={**SHARED, **query})
    assert answer.status == 200, await answer.text()
    return [each["title"] for each in await answer.json()]


class TestSharedWithMe:
    async def test_has_what_several_owners_share_with_the_role(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        carol = await sign_in("carol")
        hers = await begin(alice, title="hers", tags=["secret"], pinned=True)
        other = await begin(carol, title="Carol's")
        await begin(alice, title="hidden")
        await begin(bob, title="his own")
        await grant(alice, hers, "bob")
        await grant(carol, other, "bob", "editor")

        found = await (await bob.get("/conversations", params=SHARED)).json()

        assert [(each["title"], each["owner"], each["role"]) for each in found] == [
            ("Carol's", "carol", "editor"),
            ("hers", "alice", "viewer"),
        ]
        assert (found[1]["tags"], found[1]["pinned"]) == ([], False)
        assert found[1]["user_id"] == hers["user_id"]
        assert [each["title"] for each in await (await bob.get("/conversations")).json()] == [
            "his own"
        ]
        assert await _titles(alice) == []
        owners = await database.audit_logs.distinct("owner_id", {"action": "conversation.list"})
        assert {str(each) for each in owners} == {hers["user_id"], other["user_id"]}

    async def test_leaves_out_what_ended_expired_or_is_in_the_trash(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        kept, ended, expired, trashed = [
            await begin(alice, title=each) for each in ("kept", "ended", "expired", "trashed")
        ]
        for each in (kept, ended, trashed, expired):
            given = await grant(alice, each, "bob")
        await revoke(alice, ended, "bob")
        await alice.delete(at(trashed))
        past = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
        newest = await database.grants.find().sort("_id", -1).limit(1).to_list()
        await database.grants.update_one({"_id": newest[0]["_id"]}, past)

        assert given["username"] == "bob"
        assert await _titles(bob) == ["kept"]

    async def test_continues_by_cursors(self, alice: HttpClient, bob: HttpClient) -> None:
        for number in range(5):
            await grant(alice, await begin(alice, title=str(number)), "bob")
        titles, path = [], "/conversations?shared=with_me&limit=2"

        while path:
            answer = await bob.get(path)
            titles += [each["title"] for each in await answer.json()]
            link = answer.headers.get("Link", "")
            path = link.partition("<")[2].partition(">")[0]

        assert titles == ["4", "3", "2", "1", "0"]

    async def test_goes_with_no_other_condition(self, alice: HttpClient) -> None:
        for query in ({"tag": "x"}, {"sort": "title"}, {"updated_since": "2026-01-01T00:00:00Z"}):
            answer = await alice.get("/conversations", params={**SHARED, **query})
            assert answer.status == 422
