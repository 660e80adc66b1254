"""What API keys cost, in queries."""

import asyncio

import pytest

from chatvault.api_keys.secret import new_secret
from conftest import HttpClient
from support.keys import key_of
from support.watching import Watch, listen


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Listens to every connection of the application."""
    return listen(monkeypatch)


def lookups(watch: Watch) -> list[list[str]]:
    """Return the fields by which keys were looked for; not the stage that adds their users."""
    asked = [each for each in watch.asked if each.collection == "api_keys" and each.filter]
    return [sorted(each.filter) for each in asked]


class TestKeys:
    async def test_look_up_wrong_keys_by_the_same_query(
        self, alice: HttpClient, http: HttpClient, watch: Watch
    ) -> None:
        """By the hash of the whole: no time tells how much of a key is right."""
        right = await key_of()
        for secret in (right.secret, new_secret()):
            watch.forget()
            await http.get("/auth/me", headers={"Authorization": f"Bearer {secret}"})
            assert lookups(watch) == [["expires_at", "key_hash"]]

    async def test_refuse_malformed_keys_without_a_query(
        self, http: HttpClient, watch: Watch
    ) -> None:
        for text in ("cv_", f"cv_{'a' * 49}", f"cv_{'a' * 5000}", new_secret()[:-1] + "!"):
            answer = await http.get("/auth/me", headers={"Authorization": f"Bearer {text}"})
            assert answer.status == 401
        assert lookups(watch) == []

    async def test_of_concurrent_requests_share_queries(
        self, alice: HttpClient, http: HttpClient, watch: Watch
    ) -> None:
        key = await key_of()
        asked = (http.get("/auth/me", headers=key.headers) for _ in range(40))
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {200}
        assert 0 < len(lookups(watch)) < 20


class TestSessions:
    async def test_take_no_query_of_keys(self, alice: HttpClient, watch: Watch) -> None:
        watch.forget()
        for _ in range(3):
            assert (await alice.get("/conversations")).status == 200
            assert (await alice.post("/conversations", json={})).status == 201
        assert lookups(watch) == []
