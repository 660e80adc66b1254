"""Every route of conversations, called by everybody, against tests/permissions.csv."""

from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from chatvault.actor import Role, Scope
from chatvault.conversations.grants import Grant
from chatvault.fields import now
from chatvault.groups.models import Membership
from conftest import HttpClient, SignIn
from support.factories import begin
from support.grouping import found_group, share_with
from support.keys import make_key
from support.operations import AUDITED, CALLS, Things, key_of, make_things
from support.permissions import read_rows, to_page

PAGE = Path(__file__).parent.parent.parent / "docs" / "permissions.md"
STARTS = ("/conversations", "/groups")
OPERATIONS = {key_of(each): each for each in AUDITED if each.path.startswith(STARTS)}
GRANTED = ("viewer", "commenter", "editor")
REFUSED = {401, 403, 404}


class TestTable:
    def test_has_every_route_of_conversations_and_groups_once(self) -> None:
        told = [(row["method"], row["path"]) for row in read_rows()]

        assert len(told) == len(set(told))
        assert set(told) == OPERATIONS.keys()

    def test_is_the_page(self) -> None:
        assert PAGE.read_text() == to_page(read_rows())


class _Everybody:
    """The callers of the table, each with their browser or the headers of a key."""

    def __init__(self, people: dict[str, HttpClient], ids: dict[str, ObjectId]) -> None:
        self.people = people
        self._ids = ids

    async def share(self, things: Things) -> None:
        """Grant the owner's conversation; the grant of the one who is revoked has ended."""
        given: dict[str, Any] = {"owner_id": self._ids["owner"], "by": self._ids["owner"]}
        given |= {"conversation_id": ObjectId(things.conversation_id), "at": now()}
        rows = [
            {**given, "_id": ObjectId(), "grantee_id": self._ids[role], "role": role}
            | {"expires_at": None, "via_group": None}
            for role in GRANTED
        ]
        ended = {"grantee_id": self._ids["revoked"], "role": "editor", "expires_at": now()}
        rows.append({**rows[0], "_id": ObjectId(), **ended})
        member = {"member_id": self._ids["group member"], "group_id": ObjectId(things.group_id)}
        by_group = {"grantee_id": member["member_id"], "via_group": member["group_id"]}
        rows.append({**rows[0], "_id": ObjectId(), **by_group, "role": "editor"})
        await Membership.get_pymongo_collection().replace_one(
            member, {**member, "owner_id": self._ids["owner"], "role": "member"}, upsert=True
        )
        await Grant.get_pymongo_collection().insert_many(rows)

    async def call(self, who: str, method: str, path: str, things: Things) -> str:
        """Return `ok`, or the status of a refusal."""
        how = dict(CALLS[method, path])
        how.pop("status", None)
        browser = self.people.get(who, self.people["anonymous"])
        if who.startswith("key "):
            wanted = OPERATIONS[method, path].scope
            others = [each for each in Scope if each is not wanted]
            scopes = tuple(Scope) if who == "key with scope" else others
            key = await make_key(self._ids["owner"], scopes)
            how["headers"] = {**how.get("headers", {}), **key.headers}
        answer = await browser.request(method, path.format(**vars(things)), **how)
        await answer.read()
        return str(answer.status) if answer.status in REFUSED else "ok"


@pytest.fixture
async def everybody(http: HttpClient, sign_in: SignIn, database: Any) -> _Everybody:
    names = ("viewer", "commenter", "editor", "revoked", "stranger")
    people = {who: await sign_in(who) for who in names}
    people["group member"] = await sign_in("member")
    people["admin"] = await sign_in("admin", role=Role.ADMIN)
    people["auditor"] = await sign_in("auditor", role=Role.AUDITOR)
    # An owner who may use tools, as operations make them for admins.
    people["owner"] = await sign_in("alice", role=Role.ADMIN)
    users = {each["username"]: each["_id"] async for each in database.users.find()}
    users |= {"owner": users["alice"], "group member": users["member"]}
    return _Everybody({**people, "anonymous": http}, users)


class TestRoutes:
    async def test_answer_everybody_as_the_table_says(
        self, everybody: _Everybody, http: HttpClient
    ) -> None:
        owner, wrong = everybody.people["owner"], []
        for row in read_rows():
            method, path = row.pop("method"), row.pop("path")
            operation = OPERATIONS[method, path]
            things = await make_things(owner, http, operation, needs_all=False)
            await everybody.share(things)
            # Who is refused comes first: whoever may delete something finds it.
            for who in sorted(row, key=lambda each: row[each] == "ok"):
                if method == "DELETE" and who == "key with scope":
                    things = await make_things(owner, http, operation, needs_all=False)
                    await everybody.share(things)
                found = await everybody.call(who, method, path, things)
                if found != row[who]:
                    wrong.append(f"{method} {path}: {who} gets {found}, not {row[who]}")
        assert wrong == []


class TestGroupMember:
    """The one of the table has access as the service gives it: by the group, and by it alone."""

    async def test_has_the_grant_that_the_service_gives(
        self, everybody: _Everybody, http: HttpClient, database: Any
    ) -> None:
        owner = everybody.people["owner"]
        operation = OPERATIONS["GET", "/conversations/{conversation_id}"]
        things = await make_things(owner, http, operation, needs_all=False)
        await everybody.share(things)
        group, other = await found_group(owner, "member"), await begin(owner)
        await share_with(owner, other, group, "editor")

        of_table, of_service = [
            await database.grants.find_one({"via_group": ObjectId(group_id)})
            for group_id in (things.group_id, group["id"])
        ]
        alike = ("grantee_id", "owner_id", "by", "role", "expires_at")
        assert [of_table[name] for name in alike] == [of_service[name] for name in alike]
        of_member = {"grantee_id": of_table["grantee_id"]}
        assert await database.grants.count_documents({**of_member, "via_group": None}) == 0

    async def test_is_a_stranger_once_out_of_the_group(
        self, everybody: _Everybody, http: HttpClient
    ) -> None:
        owner, member = everybody.people["owner"], everybody.people["group member"]
        operation = OPERATIONS["GET", "/conversations/{conversation_id}/messages"]
        things = await make_things(owner, http, operation, needs_all=False)
        group = await found_group(owner, "member")
        await share_with(owner, {"id": things.conversation_id}, group, "editor")
        rows = [
            row
            for row in read_rows()
            if row["method"] == "GET" and row["path"].count("{conversation_id}") == 1
            if row["path"].count("{") == 1
        ]
        assert len(rows) > 5

        for column in ("group member", "stranger"):
            for row in rows:
                found = await everybody.call("group member", "GET", row["path"], things)
                assert found == row[column], (column, row["path"])
            if column == "group member":
                await member.delete(f"/groups/{group['id']}/members/member")
