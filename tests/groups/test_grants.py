"""Conversations that are shared with a group: who has them, from when on, and how it ends."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chatvault.actor import Actor, Door
from chatvault.conversations.grants import Grant
from chatvault.errors import Busy
from chatvault.fields import format_instant, now
from chatvault.groups import expansion
from chatvault.groups.models import GroupTask, Membership, new_task
from chatvault.groups.routes import GROUP_DEPS
from chatvault.groups.service import end_groups_of
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.following import Follower
from support.granting import at, code_of, grant, revoke
from support.grouping import add, found_group, share_with, take_out

FIRST = message("Hello", id="first")


async def status(browser: HttpClient, conversation: dict[str, Any]) -> int:
    return (await browser.get(at(conversation))).status


async def write(browser: HttpClient, conversation: dict[str, Any]) -> int:
    return (await browser.post(at(conversation, "/messages"), json=message())).status


class TestSet:
    async def test_gives_it_to_all_members_and_who_joins(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, database: Any
    ) -> None:
        carol = await sign_in("carol")
        group, conversation = await found_group(alice, "bob"), await begin(alice)

        given = await share_with(alice, conversation, group, "editor")

        assert (given["name"], given["role"], given["agents"]) == ("Team", "editor", False)
        listed = await (await alice.get(at(conversation, "/group-grants"))).json()
        assert listed == {"grants": [given]}
        assert (await (await alice.get(at(conversation, "/grants"))).json()) == {"grants": []}
        assert (await write(bob, conversation), await status(carol, conversation)) == (200, 404)
        await add(alice, group, "carol")
        assert await write(carol, conversation) == 200
        assert await database.group_tasks.count_documents({}) == 0

    async def test_lets_the_stronger_role_hold(self, alice: HttpClient, bob: HttpClient) -> None:
        group, conversation = await found_group(alice, "bob"), await begin(alice)
        await grant(alice, conversation, "bob")
        await share_with(alice, conversation, group, "editor")
        assert await write(bob, conversation) == 200

        listed = await (await bob.get("/conversations?shared=with_me")).json()
        [shown] = listed
        assert (shown["id"], shown["role"]) == (conversation["id"], "editor")
        pages = await (await bob.get("/conversations?shared=with_me&limit=1")).json()
        assert len(pages) == 1

        await share_with(alice, conversation, group, "viewer")
        assert await write(bob, conversation) == 403
        await revoke(alice, conversation, "bob")
        assert await status(bob, conversation) == 200

    async def test_is_for_groups_that_the_owner_is_in(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        group, conversation = await found_group(bob), await begin(alice)
        path = at(conversation, f"/group-grants/{group['id']}")
        answer = await alice.put(path, json={"role": "viewer"})
        assert (answer.status, await code_of(answer)) == (404, "group_not_found")
        await add(bob, group, "alice")
        await share_with(alice, conversation, group)
        assert await status(bob, conversation) == 200
        refused = await bob.put(path, json={"role": "viewer"})
        assert (refused.status, await code_of(refused)) == (403, "insufficient_grant")

    async def test_has_limits_and_checks_fields(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.groups.grants_service.MOST_OF_CONVERSATION", 1)
        one, two, conversation = (
            await found_group(alice),
            await found_group(alice),
            await begin(alice),
        )
        await share_with(alice, conversation, one)
        await share_with(alice, conversation, one, "editor")
        past = format_instant(now() - timedelta(seconds=1))
        for group, body, expected, code in (
            (two, {"role": "viewer"}, 409, "too_many_group_grants"),
            (one, {"role": "viewer", "expires_at": past}, 422, "invalid_input"),
            (one, {"role": "viewer", "agents": True}, 422, "invalid_input"),
        ):
            answer = await alice.put(at(conversation, f"/group-grants/{group['id']}"), json=body)
            assert (answer.status, await code_of(answer)) == (expected, code)

    async def test_expires(self, alice: HttpClient, bob: HttpClient, database: Any) -> None:
        group, conversation = await found_group(alice, "bob"), await begin(alice)
        soon = format_instant(now() + timedelta(hours=1))
        await share_with(alice, conversation, group, expires_at=soon)
        assert await status(bob, conversation) == 200
        await database.grants.update_many({}, {"$set": {"expires_at": now()}})
        assert await status(bob, conversation) == 404


class TestEnd:
    @pytest.mark.parametrize("how", ["grant", "removed", "left", "group"])
    async def test_takes_it_from_who_had_it_by_the_group(
        self,
        alice: HttpClient,
        bob: HttpClient,
        elsewhere: HttpClient,
        database: Any,
        how: str,
    ) -> None:
        group = await found_group(alice, "bob")
        shared, both = await begin(alice), await begin(alice)
        for conversation in (shared, both):
            await share_with(alice, conversation, group, "editor")
        await grant(alice, both, "bob")
        follower = await Follower(bob).open()

        if how == "grant":
            for conversation in (shared, both):
                path = at(conversation, f"/group-grants/{group['id']}")
                assert (await elsewhere.delete(path)).status == 204
        elif how == "group":
            assert (await elsewhere.delete(f"/groups/{group['id']}")).status == 204
        else:
            await take_out(bob if how == "left" else elsewhere, group, "bob")

        assert await status(bob, shared) == 404
        assert (await write(bob, both), await status(bob, both)) == (403, 200)
        await write(alice, shared)
        await write(alice, both)
        frames = [await follower.next() for _ in range(3)]
        told = [(each["type"], each["conversation_id"]) for each in frames]
        assert sorted(told[:2]) == sorted(
            ("conversation.unshared", each["id"]) for each in (shared, both)
        )
        assert told[2] == ("message.appended", both["id"])
        follower.close()
        assert await database.group_tasks.count_documents({}) == 0
        assert await database.group_grants.count_documents({}) == (2 if how[0] in "rl" else 0)

    async def test_of_the_conversation_ends_its_grants(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        group, conversation = await found_group(alice, "bob"), await begin(alice)
        await share_with(alice, conversation, group)
        await alice.delete(at(conversation))
        await take_out(alice, group, "bob")
        await alice.post(at(conversation, "/restore"))
        assert await status(bob, conversation) == 404
        assert await database.grants.count_documents({}) == 0


class TestLeaving:
    @pytest.mark.parametrize("ended_by", ["alice", "bob"])
    async def test_ends_what_the_member_shared_with_the_group(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, database: Any, ended_by: str
    ) -> None:
        carol = await sign_in("carol")
        group, hers = await found_group(alice, "bob", "carol"), await begin(alice)
        his, alone = await begin(bob, messages=[FIRST]), await begin(bob)
        await share_with(alice, hers, group)
        await share_with(bob, his, group, "editor")
        await grant(bob, alone, "alice")
        follower = await Follower(carol).open()

        await take_out(alice if ended_by == "alice" else bob, group, "bob")

        assert [await status(each, his) for each in (alice, carol)] == [404, 404]
        assert (await follower.until("conversation.unshared"))["conversation_id"] == his["id"]
        follower.close()
        # What others share with the group stays, and what he shares with single users.
        assert (await status(carol, hers), await status(alice, alone)) == (200, 200)
        assert await database.group_grants.count_documents({}) == 1
        assert (await (await bob.get(at(his, "/group-grants"))).json()) == {"grants": []}
        assert await database.group_tasks.count_documents({}) == 0

    async def test_ends_nothing_for_who_is_back_already(
        self, alice: HttpClient, bob: HttpClient, app: Any, database: Any
    ) -> None:
        group, his = await found_group(alice, "bob"), await begin(bob)
        await share_with(bob, his, group)
        membership = await database.memberships.find_one({"role": "member"})
        by = membership["owner_id"]
        actor = Actor(door=Door.BACKGROUND, user_id=by)
        task = new_task(actor, membership, member_id=membership["member_id"])

        await expansion.carry_out(app[GROUP_DEPS], task)

        assert await status(alice, his) == 200


class TestRaces:
    async def test_gives_nothing_to_who_left_meanwhile(
        self, alice: HttpClient, bob: HttpClient, app: Any, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.conversations.commits.queue.MAX_ATTEMPTS", 2)
        group, conversation = await found_group(alice, "bob"), await begin(alice)
        steps = expansion._steps_of_conversation

        async def leave_meanwhile(task: dict[str, Any]) -> Any:
            found = await steps(task)
            constants.setattr(expansion, "_steps_of_conversation", steps)
            await take_out(bob, group, "bob")
            return found

        constants.setattr(expansion, "_steps_of_conversation", leave_meanwhile)
        await share_with(alice, conversation, group)

        assert await status(bob, conversation) == 404
        assert await Grant.get_pymongo_collection().count_documents({}) == 0

    async def test_gives_nothing_of_a_grant_that_ended_meanwhile(
        self, alice: HttpClient, bob: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr("chatvault.conversations.commits.queue.MAX_ATTEMPTS", 2)
        group, conversation = await found_group(alice), await begin(alice)
        await share_with(alice, conversation, group)
        steps = expansion._steps_of_member

        async def end_meanwhile(task: dict[str, Any]) -> Any:
            found = await steps(task)
            constants.setattr(expansion, "_steps_of_member", steps)
            await alice.delete(at(conversation, f"/group-grants/{group['id']}"))
            return found

        constants.setattr(expansion, "_steps_of_member", end_meanwhile)
        await add(alice, group, "bob")

        assert await status(bob, conversation) == 404

    async def test_of_joining_and_sharing_leave_nobody_out(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        group = await found_group(alice)
        made = [await begin(alice) for _ in range(3)]
        await asyncio.gather(
            add(alice, group, "bob"), *(share_with(alice, each, group) for each in made)
        )
        assert [await status(bob, each) for each in made] == [200, 200, 200]

    async def test_of_leaving_and_sharing_leave_nothing(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        group = await found_group(alice, "bob")
        made = [await begin(alice) for _ in range(3)]
        await asyncio.gather(
            take_out(alice, group, "bob"), *(share_with(alice, each, group) for each in made)
        )
        assert [await status(bob, each) for each in made] == [404, 404, 404]


class TestCrash:
    @pytest.mark.parametrize("change", ["joins", "leaves", "shares"])
    async def test_leaves_a_task_that_another_process_does(
        self,
        alice: HttpClient,
        bob: HttpClient,
        app: Any,
        database: Any,
        constants: pytest.MonkeyPatch,
        change: str,
    ) -> None:
        group, conversation = await found_group(alice), await begin(alice)
        if change != "joins":
            await add(alice, group, "bob")
        if change != "shares":
            await share_with(alice, conversation, group)

        async def crash(*_: object) -> None:
            raise Busy(retry_after=1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(expansion, "_settle", crash)
            path = f"/groups/{group['id']}/members/bob"
            if change == "shares":
                further = at(conversation, f"/group-grants/{group['id']}")
                answer = await alice.put(further, json={"role": "viewer"})
            elif change == "joins":
                answer = await alice.put(path, json={})
            else:
                answer = await alice.delete(path)
        assert answer.status == 503
        [task] = await GroupTask.get_pymongo_collection().find().to_list()
        assert task["is_open"]

        await expansion._do(app[GROUP_DEPS], task)

        assert await status(bob, conversation) == (404 if change == "leaves" else 200)
        assert await database.group_tasks.count_documents({}) == 0


class TestErasure:
    async def test_of_a_member_and_of_the_owner(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn, app: Any, database: Any
    ) -> None:
        carol = await sign_in("carol")
        group = await found_group(alice, "bob", "carol", name="Zwetschgenknödel")
        his = await begin(bob)
        await share_with(bob, his, group)
        assert await status(carol, his) == 200
        alices = (await database.users.find_one({"username": "alice"}))["_id"]

        assert await end_groups_of(app[GROUP_DEPS], alices) == 1

        assert await status(carol, his) == 404
        assert await status(bob, his) == 200
        for name in ("memberships", "group_grants", "group_tasks", "grants"):
            assert await database[name].count_documents({}) == 0, name
        assert await Membership.get_pymongo_collection().count_documents({}) == 0
