"""What users keep beside a conversation: stored as it was, or refused with nothing changed."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import HttpClient
from support.answers import JSON, found, problem, wrong_fields
from support.examples import examples
from support.factories import begin, message

FAITHFUL: list[dict[str, Any]] = [
    {"a.b": {"c.d.": 1, ".": 2, "..": 3}},
    {"$set": {"title": "taken over"}, "$where": "1", "$": {"$each": []}},
    {"": {"": [{"": None}]}},
    {"__proto__": 1, "_id": 2, "user_id": "x", "id": 3, "messages": [], "metadata.title": 4},
    {"int": 2**63 - 1, "least": -(2**63), "zero": 0, "float": 1.0, "small": 5e-324, "big": 1e308},
    {"true": True, "false": False, "null": None, "one": 1, "text": "true"},
    {"text": "NUL \0 in a value, \u2028, \ufeff, \U0010ffff, 🎉, \x7f, \\ \" '"},
    {"ключ": "значение", "🎉": [], " ": {}},
    {"z": 1, "a": 2, "m": {"z": 1, "a": 2}},
    {"date": "2026-01-01T00:00:00Z", "oid": {"$oid": "507f1f77bcf86cd799439011"}},
]


def nested(depth: int) -> str:
    """An object that is so many levels deep."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


REFUSED: list[tuple[str, str, str]] = [
    ("a key with NUL", '{"a\\u0000b": 1}', "NUL"),
    ("a nested key with NUL", '{"a": [{"\\u0000": 1}]}', "NUL"),
    ("a key of 257 characters", json.dumps({"x" * 257: 1}), "256 characters"),
    ("2^63", '{"a": 9223372036854775808}', "64 bits"),
    ("-2^63-1", '{"a": [-9223372036854775809]}', "64 bits"),
    ("an integer of 4,000 digits", '{"a": ' + "9" * 4000 + "}", "64 bits"),
    ("a number that is too large", '{"a": 1e999}', ""),
    ("nesting of 101", nested(101), "100 levels"),
    ("256 KB and more", json.dumps({"a": "x" * 256 * 1024}), "262,144 bytes"),
    ("many small keys", json.dumps({str(number): number for number in range(30_000)}), "bytes"),
]
NO_JSON: list[tuple[str, str]] = [
    ("NaN", '{"a": NaN}'),
    ("Infinity", '{"a": [-Infinity]}'),
    ("half a pair", '{"a": "\\ud83d"}'),
    ("half a pair as key", '{"\\udc00": 1}'),
    ("nesting of 200", nested(201)),
    ("nesting of 10,000", nested(10_000)),
]


class TestFaithful:
    @pytest.mark.parametrize("free", FAITHFUL)
    async def test_returns_metadata_unchanged(
        self, alice: HttpClient, free: dict[str, Any]
    ) -> None:
        begun = await begin(alice, metadata=free)
        path = f"/conversations/{begun['id']}"
        put = await (await alice.put(path, json={"metadata": free})).json()
        await alice.put(path, json={"title": "other"})
        read = await found(alice, begun["id"])
        for shown in (begun, put, read):
            assert json.dumps(shown["metadata"]) == json.dumps(free)
        assert read["title"] == "other"

    @pytest.mark.parametrize("free", FAITHFUL)
    async def test_returns_a_messages_further_fields_unchanged(
        self, alice: HttpClient, free: dict[str, Any]
    ) -> None:
        begun = await begin(alice)
        sent = message("x", free=free, metrics=free)
        await alice.post(f"/conversations/{begun['id']}/messages", json=sent)
        stored = (await found(alice, begun["id"]))["messages"][0]
        assert json.dumps(stored["free"]) == json.dumps(free)
        assert json.dumps(stored["metrics"]) == json.dumps(free)

    async def test_returns_a_hundred_levels_of_nesting(self, alice: HttpClient) -> None:
        body = b'{"metadata": %b}' % nested(100).encode()
        answer = await alice.post("/conversations", data=body, headers=JSON)
        begun = await answer.json()
        assert begun["metadata"] == json.loads(nested(100))
        assert await found(alice, begun["id"]) == begun


class TestRefused:
    @pytest.mark.parametrize(
        ("free", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
    )
    async def test_names_the_field_and_the_reason(
        self, alice: HttpClient, free: str, reason: str
    ) -> None:
        begun = await begin(alice, metadata={"kept": 1}, messages=[message()])
        path = f"/conversations/{begun['id']}"
        requests = [
            ("POST", "/conversations", '{"metadata": %s}', ["body", "metadata"]),
            ("PUT", path, '{"title": "no", "metadata": %s}', ["body", "metadata"]),
            ("PATCH", path, '{"title": "no", "metadata": %s}', ["body", "metadata"]),
            (
                "POST",
                f"{path}/messages",
                '{"role": "user", "content": "", "metrics": %s}',
                ["body", "metrics"],
            ),
        ]
        for method, address, body, where in requests:
            answer = await alice.request(method, address, data=body % free, headers=JSON)
            if reason == "" and answer.status == 400:
                await problem(answer, 400, "malformed")
                continue
            assert await wrong_fields(answer) == [where]
            assert reason in (await answer.json())["detail"]
        assert await (await alice.get("/conversations")).json() == [begun]

    @pytest.mark.parametrize(
        "free", [each[1] for each in REFUSED], ids=[each[0] for each in REFUSED]
    )
    async def test_applies_to_a_messages_further_fields(self, alice: HttpClient, free: str) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}/messages"
        body = f'{{"role": "user", "content": "", "own": {free}}}'
        answer = await alice.post(path, data=body, headers=JSON)
        assert answer.status in {400, 422}
        assert (await answer.json())["code"] in {"malformed", "invalid_input"}
        assert await found(alice, begun["id"]) == begun

    @pytest.mark.parametrize(
        "free", [each[1] for each in NO_JSON], ids=[each[0] for each in NO_JSON]
    )
    async def test_is_malformed_json(self, alice: HttpClient, free: str) -> None:
        begun = await begin(alice)
        for name in ("metadata", "title"):
            answer = await alice.put(
                f"/conversations/{begun['id']}", data=f'{{"{name}": {free}}}', headers=JSON
            )
            await problem(answer, 400, "malformed")
        assert await found(alice, begun["id"]) == begun


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
KEYS |= st.sampled_from(["$set", "a.b", "", ".", "$", "_id", "id", "seq", "extra", "messages"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
RESERVED = {"id", "seq", "role", "content", "timestamp", "model", "metrics", "cancelled"}


class TestAnyJson:
    @settings(
        max_examples=examples(20, long=100),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(free=OBJECTS)
    async def test_comes_back_identical(self, alice: HttpClient, free: dict[str, Any]) -> None:
        own = {name: value for name, value in free.items() if name not in RESERVED}
        begun = await begin(alice, metadata=free, messages=[message("x", **own)])

        read = await found(alice, begun["id"])

        assert json.dumps(read["metadata"]) == json.dumps(free)
        stored = read["messages"][0]
        assert json.dumps({name: stored[name] for name in own}) == json.dumps(own)
        assert stored.keys() <= RESERVED | own.keys()
        await alice.delete(f"/conversations/{begun['id']}")
