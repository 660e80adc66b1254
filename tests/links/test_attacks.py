"""What must not open a link: guesses, what is gone, other people, logs, and the database alone."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from aiohttp import web
from bson import ObjectId

from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door
from chatvault.conversations.links import LinkPart
from chatvault.conversations.trash import purging
from chatvault.conversations.trash.routes import TRASH_DEPS
from chatvault.erasure import service as erasures
from chatvault.fields import now
from chatvault.links.routes import LINK_DEPS
from chatvault.links.snapshot import SnapshotWriter
from chatvault.links.throttle import PASSWORDS_HERE, PER_ADDRESS
from chatvault.links.token import new_token
from chatvault.settings import Environment, Settings, Switch
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.links import link_to, links_of, open_link, path_of

SECRET = "hunter's moon"
OPERATOR = Actor(door=Door.CLI)


async def parts_left(database: Any) -> int:
    """Return how many documents of links there are."""
    parts: int = await database.link_parts.count_documents({})
    links: int = await database.links.count_documents({"revoked_at": None})
    return parts + links


async def trash(alice: HttpClient, path: str) -> None:
    assert (await alice.delete(path)).status == 204


async def trash_and_restore(alice: HttpClient, path: str) -> None:
    await trash(alice, path)
    assert (await alice.post(f"{path}/restore")).status == 200


async def delete(alice: HttpClient, path: str) -> None:
    assert (await alice.delete(f"{path}?permanent=true")).status == 204


async def delete_all(alice: HttpClient, _path: str) -> None:
    assert (await alice.delete("/conversations")).status == 200


async def purge(alice: HttpClient, path: str) -> None:
    await trash(alice, path)
    assert (await alice.delete("/trash")).status == 200


async def purge_later(alice: HttpClient, path: str) -> None:
    await trash(alice, path)
    app: Any = alice.app
    deps = app[TRASH_DEPS]
    await purging.purge_page(replace(deps, days=0))


async def erase(_alice: HttpClient, _path: str) -> None:
    await erasures.begin(OPERATOR, username="alice")


async def close_account(_alice: HttpClient, _path: str) -> None:
    await accounts.set_active(OPERATOR, username="alice", is_active=False)


class TestEnds:
    @pytest.mark.parametrize(
        "end", [trash, trash_and_restore, delete, delete_all, purge, purge_later]
    )
    async def test_with_the_conversation_and_leaves_nothing(
        self,
        alice: HttpClient,
        http: HttpClient,
        database: Any,
        end: Callable[[HttpClient, str], Awaitable[None]],
    ) -> None:
        conversation = await begin(alice, messages=[message("words")])
        made = [await link_to(alice, conversation) for _ in range(2)]
        await alice.delete(f"/links/{made[0]['id']}")

        await end(alice, f"/conversations/{conversation['id']}")

        for each in made:
            await problem(await open_link(http, each["token"]), 404, "not_found")
        assert await database.links.count_documents({}) == 0
        assert await database.link_parts.count_documents({}) == 0

    @pytest.mark.parametrize("end", [erase, close_account])
    async def test_with_the_account(
        self,
        alice: HttpClient,
        http: HttpClient,
        database: Any,
        end: Callable[[HttpClient, str], Awaitable[None]],
    ) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation)

        await end(alice, "")

        await problem(await open_link(http, made["token"]), 404, "not_found")
        if end is erase:
            assert await database.links.count_documents({}) == 0

    async def test_in_the_transaction_of_the_deletion(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        """Links that are made meanwhile, here and in another process, do not survive it."""
        for _ in range(3):
            conversation = await begin(alice, messages=[message("words")])
            path = path_of(conversation)
            made = await link_to(alice, conversation)

            answers = await asyncio.gather(
                *(browser.post(path, json={}) for browser in (alice, elsewhere) * 2),
                alice.delete(f"/conversations/{conversation['id']}"),
            )

            assert answers[-1].status == 204
            tokens = [(await each.json())["token"] for each in answers[:-1] if each.status == 201]
            assert {each.status for each in answers[:-1]} <= {201, 404, 503}
            for token in [made["token"], *tokens]:
                await problem(await open_link(alice, token), 404, "not_found")
            assert await parts_left(database) == 0

    async def test_while_it_is_written(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        conversation = await begin(alice, messages=[message("words")])
        write = SnapshotWriter.write

        async def write_and_trash(*args: Any) -> None:
            await write(*args)
            await trash(alice, f"/conversations/{conversation['id']}")

        constants.setattr(SnapshotWriter, "write", write_and_trash)

        await problem(await alice.post(path_of(conversation), json={}), 404, "not_found")
        assert await parts_left(database) == 0

    async def test_with_parts_that_no_link_came_for(
        self, alice: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        """A process that is killed leaves parts that MongoDB removes within the hour."""

        async def fail(*_args: Any) -> None:
            raise asyncio.CancelledError

        conversation = await begin(alice, messages=[message("words")])
        constants.setattr(SnapshotWriter, "keep_until", fail)
        constants.setattr(SnapshotWriter, "discard", fail)
        with pytest.raises(Exception):  # noqa: B017, PT011  # the connection is closed
            await alice.post(path_of(conversation), json={})

        for part in await database.link_parts.find().to_list():
            assert (part["expires_at"] - now()).total_seconds() <= 3600


class TestGuesses:
    async def test_of_tokens_find_nothing(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        made = await link_to(alice, await begin(alice))
        token = made["token"]
        last = "A" if token[-1] != "A" else "B"
        [stored] = await database.links.find().to_list()
        near = [
            new_token(), token[:-1], token + "A", token[:-1] + last, token.swapcase(), "x" * 255,
            stored["token_hash"].hex(), made["id"], "%00", "ü", secrets.token_hex(500),
        ]  # fmt: skip
        for guess in near:
            refused = await http.get(f"/shared/{guess}")
            assert refused.status == 404, guess

    async def test_are_answered_alike(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        """What is unknown, malformed, expired or revoked differs in the request's id alone."""
        conversation = await begin(alice)
        revoked, expired = [await link_to(alice, conversation) for _ in range(2)]
        await alice.delete(f"/links/{revoked['id']}")
        which = {"_id": ObjectId(expired["id"])}
        await database.links.update_one(which, {"$set": {"expires_at": now()}})
        bodies = []
        for token in (new_token(), "malformed", revoked["token"], expired["token"]):
            for password in (None, SECRET):
                answer = await open_link(http, token, password=password)
                body = await problem(answer, 404, "not_found")
                del body["request_id"]
                bodies.append(body)
        assert all(body == bodies[0] for body in bodies)

    async def test_of_passwords_take_the_same_work_with_or_without_a_link(
        self, alice: HttpClient, http: HttpClient, database: Any, constants: pytest.MonkeyPatch
    ) -> None:
        """The time is bcrypt's and the queries': both are counted, as a clock would mislead."""
        conversation = await begin(alice)
        protected = await link_to(alice, conversation, password=SECRET)
        expired, revoked = [await link_to(alice, conversation, password=SECRET) for _ in range(2)]
        which = {"_id": ObjectId(expired["id"])}
        await database.links.update_one(which, {"$set": {"expires_at": now()}})
        await alice.delete(f"/links/{revoked['id']}")
        checked: list[bool] = []
        verify = PasswordHasher.verify

        async def count(self: Any, password: str, hashed: str | None, **more: Any) -> bool:
            checked.append(hashed is None)
            return await verify(self, password, hashed, **more)

        constants.setattr(PasswordHasher, "verify", count)
        tokens = [each["token"] for each in (protected, expired, revoked)]
        for token in (*tokens, new_token(), "malformed"):
            await open_link(http, token, password="not the password")
        assert checked == [False, True, True, True, True]

    async def test_of_passwords_are_limited(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient
    ) -> None:
        conversation = await begin(alice)
        made, other = [await link_to(alice, conversation, password=SECRET) for _ in range(2)]
        opened = await (await open_link(http, made["token"], password=SECRET)).json()
        for _ in range(PASSWORDS_HERE.amount):
            wrong = await open_link(http, made["token"], password="not the password")
            await problem(wrong, 403, "wrong_link_password")

        refused = await open_link(http, made["token"], password=SECRET)

        await problem(refused, 429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) > 1
        # Whoever was in already reads on; other links are not concerned.
        known = await open_link(http, made["token"], link_pass=opened["link_pass"])
        assert known.status == 200
        assert (await open_link(http, other["token"], password=SECRET)).status == 200

    async def test_are_limited_by_address(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        made = await link_to(alice, await begin(alice))
        key = PER_ADDRESS.key("link-address", "127.0.0.1")
        await open_link(http, made["token"])
        await database.rate_limits.update_one({"_id": key}, {"$set": {"count": PER_ADDRESS.amount}})

        await problem(await open_link(http, made["token"]), 429, "too_many_requests")


class TestStrangers:
    async def test_neither_see_nor_revoke_nor_make_links(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation)

        for browser, status in ((bob, 404), (http, 401)):
            assert (await browser.delete(f"/links/{made['id']}")).status == status
            assert (await browser.delete(path_of(conversation))).status == status
            assert (await browser.get(path_of(conversation))).status == status
            assert (await browser.post(path_of(conversation), json={})).status == status
        assert await (await bob.get("/links")).json() == []
        assert (await (await bob.delete("/links")).json())["revoked_count"] == 0
        assert [each["state"] for each in await links_of(alice, conversation)] == ["open"]
        assert await database.links.count_documents({}) == 1

    async def test_share_only_their_own_with_another_ones_message(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        """A confused deputy: Bob's conversation, up to a message of Alice's."""
        await begin(alice, messages=[message("hers", id="hers")])
        his = await begin(bob, messages=[message("his", id="his")])
        refused = await bob.post(path_of(his), json={"up_to": "hers"})
        await problem(refused, 404, "not_found")

    async def test_get_nothing_of_another_link_by_its_parts(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient, database: Any
    ) -> None:
        """Parts that somebody moves between links in the database do not open."""
        hers = await link_to(alice, await begin(alice, messages=[message("hers")]))
        his = await link_to(bob, await begin(bob, messages=[message("his")]))
        part = await database.link_parts.find_one({"link_id": ObjectId(hers["id"]), "no": 1})
        which = {"link_id": ObjectId(his["id"]), "no": 1}
        await database.link_parts.update_one(which, {"$set": {"c": part["c"]}})

        answer = await open_link(http, his["token"])

        assert "hers" not in await answer.text()
        assert answer.status >= 400


class TestSecrecy:
    async def test_the_database_alone_opens_nothing(self, alice: HttpClient, database: Any) -> None:
        """The words are nowhere in the documents of links, and a hash opens no part."""
        words = [secrets.token_hex(8) for _ in range(4)]
        conversation = await begin(
            alice,
            title=words[0],
            system_prompt=words[1],
            metadata={"a": words[2]},
            messages=[message(words[3] * 300)],
        )
        include = ["system_prompt", "metadata"]
        await link_to(alice, conversation, include=include, password=SECRET)

        for name in ("links", "link_parts", "audit_logs", "rate_limits", "idempotency_records"):
            for document in await database[name].find().to_list():
                assert not [word for word in [*words, SECRET] if word in str(document)], name
                assert not [
                    word for word in words if word.encode() in bytes(document.get("c", b""))
                ]
        assert await database.link_parts.count_documents({}) == 2
        assert LinkPart.holds.words == ("c",)

    async def test_logs_and_entries_have_no_token(
        self, app: web.Application, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        made = await link_to(alice, await begin(alice), password=SECRET)
        token = made["token"]
        with structlog.testing.capture_logs() as logs:
            await open_link(bob, token)
            await open_link(bob, token, password="not the password")
            await open_link(bob, token, password=SECRET)
            await open_link(bob, token + "x")
            headers = {"Link-Password": SECRET, "Idempotency-Key": "once"}
            await bob.post(f"/shared/{token}/fork", json={"x": token}, headers=headers)
            await bob.post(f"/shared/{token}/fork", json={}, headers=headers)
            await bob.get(f"/s/{token}", headers={"Accept": "text/html"})
            await bob.get(f"/shared/{token}/nothing")
            await bob.get(f"/shared/{token}", params={"page": "nothing"})

        assert logs
        assert token not in str(logs)
        assert SECRET not in str(logs)
        entries = await database.audit_logs.find().to_list()
        assert {"denied", "success", "failed"} <= {each["outcome"] for each in entries}
        for name in await database.list_collection_names():
            for document in await database[name].find().to_list():
                assert token not in str(document), name
        assert token not in repr(app[LINK_DEPS])

    async def test_damage_is_not_found(
        self, alice: HttpClient, http: HttpClient, database: Any
    ) -> None:
        made = await link_to(alice, await begin(alice, messages=[message("words")]))
        await database.link_parts.delete_one({"no": 1})
        await problem(await open_link(http, made["token"]), 404, "not_found")


class TestSwitch:
    def test_is_off_in_production_unless_set(self) -> None:
        production = Environment.PRODUCTION
        assert Settings(env=production).links is Switch.OFF
        assert Settings(env=production, links=Switch.ON).links is Switch.ON
        assert Settings().links is Switch.ON

    async def test_refuses_new_links_and_finds_none(
        self, app: web.Application, alice: HttpClient, http: HttpClient, constants: Any
    ) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation)
        constants.setattr(type(app[LINK_DEPS]), "is_on", False)

        refused = await alice.post(path_of(conversation), json={})
        await problem(refused, 403, "links_off")
        await problem(await open_link(http, made["token"]), 404, "not_found")
        assert (await alice.delete(f"/links/{made['id']}")).status == 204
