"""Names that are not what they look like: refused when they are new, kept when they are there."""

import asyncio
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from chatvault.accounts import service
from chatvault.accounts.models import User
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.usernames import check_username, fold, lookalike_keys
from chatvault.actor import Actor, Door
from chatvault.errors import AlreadyTaken
from chatvault.fields import now
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account

OPERATOR = Actor(door=Door.CLI)
CYRILLIC_A = "\u0430"


def wish(username: str, **changes: Any) -> dict[str, Any]:
    return {**account("eve"), "username": username, "password": PASSWORD, **changes}


async def older_account(username: str) -> User:
    """An account as it was stored before names were looked at."""
    hasher = PasswordHasher(4)
    user = User(
        username=username,
        username_key=fold(username),
        email=f"{len(username)}@example.org",
        email_key=f"{len(username)}@example.org",
        password_hash=await hasher.hash(PASSWORD),
        created_at=now(),
    )
    hasher.close()
    await user.insert()
    await User.get_pymongo_collection().update_one({}, {"$unset": {"lookalike_keys": ""}})
    return user


class TestCheckUsername:
    @pytest.mark.parametrize(
        "name",
        [
            "admin",
            "x[/admin]",
            "o'neil-3.b_c",
            "José",
            "jose\u0301",
            "Петя",
            "Ελένη",
            "山田taro",
            "カタカナ",
            "한국kim",
            "नमस्ते",
            "محمد",
            "\U0001f98afox",
            "ﬁnn",
        ],
    )
    def test_accepts_names_of_people(self, name: str) -> None:
        assert check_username(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "ad\x1b[31mmin",
            "ad\x7fmin",
            "ad\x9bmin",
            "\u202enimda",
            "ad\u200bmin",
            "ad\u200dmin",
            "ad\u2060min",
            "ad\u00admin",
            "ad\ufe0fmin",
            "ad\u034fmin",
            "admin\u3164",
            "admin\u2800",
            "admin\u115f",
            "ad\ue000min",
            "ad\U000e0041min",
            "ad\u2028min",
            "ad\u00a8min",
        ],
        ids=ascii,
    )
    def test_refuses_invisible_characters(self, name: str) -> None:
        with pytest.raises(PydanticCustomError, match="invisible characters"):
            check_username(name)

    @pytest.mark.parametrize(
        "name",
        [f"{CYRILLIC_A}dmin", "ad\u043cin", "p\u0430yp\u0430l", "\u0391dmin", "adm\u0456n"],
        ids=ascii,
    )
    def test_refuses_mixed_scripts(self, name: str) -> None:
        with pytest.raises(PydanticCustomError, match="one script"):
            check_username(name)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("a\uff20b", "no @"),
            ("\u0301admin", "accents"),
            ("a" + "\u0301" * 5, "accents"),
            ("6B001B04E0ED3E0CCEEB8472", "like an id"),
        ],
        ids=ascii,
    )
    def test_refuses_other_misleading_names(self, name: str, words: str) -> None:
        with pytest.raises(PydanticCustomError, match=words):
            check_username(name)


class TestLookalikeKeys:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("admin", f"{CYRILLIC_A}dmin"),
            ("poca", "\u0440\u043e\u0441\u0430"),
            ("BOB", "\u0392\u039f\u0392"),
            ("admin", "adm\u0131n"),
            ("admin", "\u0251dmin"),
            ("\u0440\u043e\u0441\u0430", "\u03c1\u03bf\u03f2\u03b1"),
        ],
        ids=ascii,
    )
    def test_are_equal_for_lookalikes(self, one: str, other: str) -> None:
        assert set(lookalike_keys(one)) & set(lookalike_keys(other))

    @pytest.mark.parametrize(
        ("one", "other"),
        [("bill", "bi11"), ("bob", "b0b"), ("m", "rn"), ("jose", "José"), ("Петя", "петр")],
    )
    def test_differ_for_distinguishable_names(self, one: str, other: str) -> None:
        assert not set(lookalike_keys(one)) & set(lookalike_keys(other))


class TestRegister:
    @pytest.mark.parametrize(
        "username", ["ad\x1bmin", "ad\u202emin", "ad\u200bmin", f"{CYRILLIC_A}dmin"], ids=ascii
    )
    async def test_refuses_a_hostile_name_with_the_reason(
        self, http: HttpClient, database: Any, username: str
    ) -> None:
        answer = await http.post("/auth/register", json=wish(username))

        assert answer.status == 422
        problem = await answer.json()
        assert [error["loc"] for error in problem["errors"]] == [["body", "username"]]
        assert problem["detail"].startswith("username: Username should ")
        assert username not in await answer.text()
        assert await database.users.count_documents({}) == 0

    @pytest.mark.parametrize("full_name", ["A\x1b[31mB", "A\u202eB", "A\nB"], ids=ascii)
    async def test_refuses_control_characters_in_a_full_name(
        self, http: HttpClient, full_name: str
    ) -> None:
        answer = await http.post("/auth/register", json=wish("eve", full_name=full_name))

        assert answer.status == 422
        assert (await answer.json())["errors"][0]["loc"] == ["body", "full_name"]

    async def test_accepts_joiners_in_a_full_name(self, http: HttpClient) -> None:
        joined = "\u0645\u06cc\u200c\u062e\u0648"
        answer = await http.post("/auth/register", json=wish("eve", full_name=joined))

        assert answer.status == 200

    @pytest.mark.parametrize(
        ("first", "second"),
        [("poca", "\u0440\u043e\u0441\u0430"), ("\u0440\u043e\u0441\u0430", "poca")],
        ids=ascii,
    )
    async def test_refuses_a_lookalike_of_another_account(
        self, http: HttpClient, first: str, second: str
    ) -> None:
        assert (await http.post("/auth/register", json=wish(first))).status == 200

        answer = await http.post("/auth/register", json=wish(second, email="x@example.com"))

        assert answer.status == 400
        problem = await answer.json()
        assert problem["code"] == "already_taken"
        assert "looks like" in problem["detail"]

    async def test_gives_a_name_to_one_of_concurrent_lookalikes(
        self, http: HttpClient, database: Any
    ) -> None:
        names = ["poca", "\u0440\u043e\u0441\u0430", "\u03c1\u03bf\u03f2\u03b1"] * 4

        answers = await asyncio.gather(
            *(
                http.post("/auth/register", json=wish(name, email=f"{number}@example.com"))
                for number, name in enumerate(names)
            )
        )

        assert sorted(answer.status for answer in answers) == [200] + [400] * 11
        assert await database.users.count_documents({}) == 1

    async def test_hashes_nothing_for_a_taken_name(
        self, alice: HttpClient, http: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PasswordHasher, "hash", None)

        for taken in (wish("ALICE"), wish("bob", email="Alice@example.com")):
            answer = await http.post("/auth/register", json=taken)
            assert answer.status == 400
            assert "already exists" in (await answer.json())["detail"]


class TestOlderAccounts:
    @pytest.mark.parametrize(
        "username", [f"{CYRILLIC_A}dmin", "ad\u200bmin", "\x1b[31mred", "x[/admin]"], ids=ascii
    )
    async def test_sign_in_with_their_old_name(self, http: HttpClient, username: str) -> None:
        await older_account(username)

        credentials = {"username": username, "password": PASSWORD}
        assert (await http.post("/auth/login", json=credentials)).status == 200
        assert (await (await http.get("/auth/me")).json())["username"] == username

    async def test_block_lookalikes_in_other_scripts(self, http: HttpClient) -> None:
        await older_account("poca")

        answer = await http.post("/auth/register", json=wish("\u0440\u043e\u0441\u0430"))

        assert answer.status == 400

    async def test_do_not_block_the_name_that_they_resemble(self, http: HttpClient) -> None:
        await older_account(f"{CYRILLIC_A}dmin")

        assert (await http.post("/auth/register", json=wish("admin"))).status == 200


class TestRename:
    async def test_changes_the_name_and_keeps_the_sessions(
        self, sign_in: SignIn, http: HttpClient, database: Any
    ) -> None:
        alice = await sign_in("alice")
        user_id = (await (await alice.get("/auth/me")).json())["id"]

        await service.rename(OPERATOR, username="Alice", new_username="carol")

        assert (await (await alice.get("/auth/me")).json())["username"] == "carol"
        for name, status in {"alice": 401, "carol": 200}.items():
            credentials = {"username": name, "password": PASSWORD}
            assert (await http.post("/auth/login", json=credentials)).status == status
        entry = await database.audit_logs.find_one({"action": "user.rename"})
        assert (entry["outcome"], entry["resource_id"]) == ("success", user_id)
        assert "carol" not in str(entry)

    async def test_finds_an_account_by_its_id(self, http: HttpClient) -> None:
        user = await older_account("\x1b[31mred")

        renamed = await service.rename(OPERATOR, username=str(user.id), new_username="red")

        assert (renamed.username, renamed.lookalike_keys) == ("red", ["red"])

    async def test_prefers_an_id_to_an_equal_name(self, http: HttpClient) -> None:
        user = await older_account("alice")
        await older_account(str(user.id))

        assert (await service.rename(OPERATOR, username=str(user.id), new_username="x")).id == (
            user.id
        )

    @pytest.mark.parametrize("wanted", ["bob", "BOB", "\u0392\u039f\u0392"], ids=ascii)
    async def test_refuses_the_name_of_another(
        self, sign_in: SignIn, database: Any, wanted: str
    ) -> None:
        await sign_in("alice")
        await sign_in("bob")

        with pytest.raises(AlreadyTaken):
            await service.rename(OPERATOR, username="alice", new_username=wanted)

        assert await database.users.count_documents({"username": "alice"}) == 1
        assert await database.audit_logs.count_documents({"action": "user.rename"}) == 0

    async def test_accepts_another_spelling_of_the_own_name(self, sign_in: SignIn) -> None:
        await sign_in("alice")

        assert (await service.rename(OPERATOR, username="alice", new_username="Alice")).username
