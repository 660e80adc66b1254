import asyncio
from typing import Any

import pytest

from chatvault.preferences.models import Preferences
from conftest import HttpClient

PATH = "/users/me/preferences"
DEFAULTS = {
    "theme": "system",
    "language": "en",
    "autoSave": True,
    "showTimestamps": True,
    "agent_settings": {},
    "display_settings": {},
}


async def read(browser: HttpClient) -> dict[str, Any]:
    answer = await browser.get(PATH)
    assert answer.status == 200
    body: dict[str, Any] = await answer.json()
    return body


async def put(browser: HttpClient, values: Any, *, status: int = 200) -> Any:
    answer = await browser.put(PATH, json=values)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def patch(browser: HttpClient, values: Any, *, status: int = 200) -> Any:
    answer = await browser.patch(PATH, json=values)
    assert answer.status == status, await answer.text()
    return await answer.json()


class TestGet:
    async def test_returns_defaults_for_unset_preferences(self, alice: HttpClient) -> None:
        assert await read(alice) == DEFAULTS

    async def test_requires_a_session(self, http: HttpClient) -> None:
        for method in ("GET", "PUT", "PATCH"):
            assert (await http.request(method, PATH, json={})).status == 401

    async def test_shows_only_the_users_own(self, alice: HttpClient, bob: HttpClient) -> None:
        await put(alice, {"theme": "dark", "mine": 1})

        assert await read(bob) == DEFAULTS


class TestPut:
    async def test_replaces_everything(self, alice: HttpClient) -> None:
        await put(alice, {"theme": "dark", "language": "de", "mine": {"a": 1}})

        answered = await put(alice, {"theme": "light"})

        assert answered == await read(alice) == {**DEFAULTS, "theme": "light"}

    async def test_stores_only_what_was_set(self, alice: HttpClient) -> None:
        await put(alice, {"theme": "dark", "language": None})

        stored = await Preferences.get_pymongo_collection().find_one({})
        assert stored is not None
        assert stored["preferences"] == {"theme": "dark"}

    async def test_keeps_further_keys_unchanged(self, alice: HttpClient) -> None:
        mine = {
            "fontSize": 14, "ratio": 1.5, "big": 2**63 - 1, "list": [1, None, {"a": []}],
            "nothing inside": {"a": None}, "ünïcode": "\U0001f600", "a.b": 1, "$set": {"$x": 1},
            "": "empty", "_private": 1, "__class__": "x", "model_config": 2, "_id": "3",
            "nul": "\0",
        }  # fmt: skip

        await put(alice, mine)

        assert await read(alice) == {**DEFAULTS, **mine}

    async def test_keeps_settings_of_agents_and_display(self, alice: HttpClient) -> None:
        values = {
            "agent_settings": {"model": "llama", "temperature": 0.7, "stop": None},
            "display_settings": {"sidebar.width": 240, "$order": ["a"]},
        }

        await put(alice, values)

        assert await read(alice) == {**DEFAULTS, **values}

    async def test_keeps_one_of_fifty_concurrent_requests_complete(
        self, alice: HttpClient, database: Any
    ) -> None:
        answers = await asyncio.gather(
            *(alice.put(PATH, json={"a": number, "b": number}) for number in range(50))
        )

        assert {answer.status for answer in answers} == {200}
        found = await read(alice)
        assert found["a"] == found["b"]
        assert await database.preferences.count_documents({}) == 1

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"theme": "pink"}, "theme"),
            ({"theme": 1}, "theme"),
            ({"language": "not a language"}, "language"),
            ({"language": "e"}, "language"),
            ({"autoSave": "perhaps"}, "autoSave"),
            ({"agent_settings": []}, "agent_settings"),
            ({"display_settings": "wide"}, "display_settings"),
        ],
    )
    async def test_names_the_wrong_field(
        self, alice: HttpClient, values: dict[str, Any], place: str
    ) -> None:
        problem = await put(alice, values, status=422)

        assert problem["errors"][0]["loc"] == ["body", place]
        assert await read(alice) == DEFAULTS


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


class TestBounds:
    @pytest.mark.parametrize("place", ["mine", "agent_settings"])
    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ({"a": "x" * 300_000}, "larger than 262,144 bytes"),
            (deep(120), "deeper than 100"),
            ({"a\0b": 1}, "NUL"),
            ({"a": 2**63}, "64 bits"),
            ({"a": -(2**63) - 1}, "64 bits"),
            ({"k" * 257: 1}, "longer than 256"),
            ({"$ref": "users", "$id": 1}, "$ref"),
            ([{"$ref": "users", "$id": 1, "$db": "admin"}], "$ref"),
        ],
        ids=["size", "depth", "nul", "65 bits", "-65 bits", "key", "reference", "references"],
    )
    async def test_refuse_values_that_cannot_be_stored(
        self, alice: HttpClient, place: str, value: Any, reason: str
    ) -> None:
        given = {"a": value} if isinstance(value, list) else value

        for method in (put, patch):
            problem = await method(alice, {place: given}, status=422)
            assert reason in problem["detail"]
        assert await read(alice) == DEFAULTS

    async def test_apply_to_all_preferences_together(self, alice: HttpClient) -> None:
        half = "x" * 150_000

        await put(alice, {"a": half, "agent_settings": {"b": half}}, status=422)
        await put(alice, {"a": half})
        problem = await patch(alice, {"b": half}, status=422)

        assert "larger than" in problem["detail"]
        assert "b" not in await read(alice)

    @pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": "\\udc00"}'])
    async def test_refuse_unusual_json(self, alice: HttpClient, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}

        assert (await alice.put(PATH, data=body, headers=headers)).status == 400

    @pytest.mark.parametrize("number", [b"1e400", b"1e308", b"-0.0", b"5e-324"])
    async def test_keep_or_refuse_extreme_floats(self, alice: HttpClient, number: bytes) -> None:
        headers = {"Content-Type": "application/json"}

        answer = await alice.put(PATH, data=b'{"a": ' + number + b"}", headers=headers)

        if number == b"1e400":
            assert answer.status in {400, 422}
        else:
            assert (await read(alice))["a"] == float(number)

    async def test_keep_a_partial_database_reference(self, alice: HttpClient) -> None:
        mine = {"a": {"$ref": "users"}, "b": {"$id": 1, "$db": "x"}, "c": {"$ref": 1, "$id": 2}}

        await put(alice, mine)

        assert await read(alice) == {**DEFAULTS, **mine}


class TestPatch:
    async def test_merges_and_removes(self, alice: HttpClient) -> None:
        await put(alice, {"theme": "dark", "mine": {"a": 1, "b": 2}, "language": "de"})

        answered = await patch(alice, {"language": None, "mine": {"a": None, "c": 3}})

        expected = {**DEFAULTS, "theme": "dark", "mine": {"b": 2, "c": 3}}
        assert answered == await read(alice) == expected

    async def test_accepts_the_content_type_of_a_merge_patch(self, alice: HttpClient) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}

        answer = await alice.patch(PATH, data=b'{"theme": "dark"}', headers=headers)

        assert answer.status == 200
        assert (await read(alice))["theme"] == "dark"

    async def test_loses_nothing_of_concurrent_patches(self, alice: HttpClient) -> None:
        answers = await asyncio.gather(
            *(alice.patch(PATH, json={f"key{number}": number}) for number in range(50))
        )

        assert {answer.status for answer in answers} == {200}
        found = await read(alice)
        assert {key for key in found if key.startswith("key")} == {f"key{n}" for n in range(50)}


class TestAudit:
    async def test_counts_keys_without_naming_them(self, alice: HttpClient, database: Any) -> None:
        await put(alice, {"theme": "dark", "plantedkey": "plantedvalue"})
        await patch(alice, {"theme": "light", "plantedkey": "plantedvalue", "plantedtoo": 1})
        await patch(alice, {"theme": "light"})
        await read(alice)

        query = {"resource_type": "preferences"}
        entries = await database.audit_logs.find(query).sort("_id", 1).to_list()
        assert [entry["action"] for entry in entries] == [
            "preferences.update", "preferences.update", "preferences.update", "preferences.get",
        ]  # fmt: skip
        assert [entry["details"] for entry in entries] == [
            {"keys_changed": 2}, {"keys_changed": 2}, {"keys_changed": 0}, None,
        ]  # fmt: skip
        assert "planted" not in str(entries)
