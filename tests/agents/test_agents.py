"""Agents: one's own, those offered to all, and the one that is always there."""

import asyncio
from typing import Any

import pytest

from chatvault.actor import Role
from chatvault.settings import InvalidSettings, Settings, describe, load_settings
from conftest import HttpClient, SignIn
from support.answers import problem, wrong_fields

KEY = "sk-very-secret-key"
REPEATED = {"Idempotency-Key": "once"}


async def make(http: HttpClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/agents", json={"name": "Helper", **fields})
    assert answer.status == 201, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


async def names(http: HttpClient) -> list[str]:
    answer = await http.get("/agents")
    assert answer.status == 200
    return [agent["name"] for agent in (await answer.json())["agents"]]


class TestList:
    async def test_requires_a_session(self, http: HttpClient) -> None:
        assert (await http.get("/agents")).status == 401
        assert (await http.post("/agents", json={"name": "x"})).status == 401

    async def test_has_a_default_agent_and_reports_a_missing_model(self, alice: HttpClient) -> None:
        body = await (await alice.get("/agents")).json()

        [agent] = body["agents"]
        assert agent["built_in"]
        assert (agent["max_conversation_tokens"], agent["history_limit"]) == (8000, 50)
        assert agent["conversation_memory_enabled"]
        assert body["providers"] == []
        assert body["model_configured"] is False
        assert "CHATVAULT_PROVIDERS" in body["detail"]

    async def test_shows_own_and_shared_agents_only(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        admin = await sign_in("root", role=Role.ADMIN)
        await make(alice, name="Alices")
        await make(admin, name="For all", shared=True)
        await make(admin, name="Admins own")

        assert await names(alice) == ["Assistant", "Alices", "For all"]
        assert await names(bob) == ["Assistant", "For all"]


class TestAudit:
    async def test_names_changed_fields_without_their_values(
        self, alice: HttpClient, database: Any
    ) -> None:
        made = await make(alice, name="planted name", system_prompt="planted prompt")
        path = f"/agents/{made['id']}"
        answer = await alice.patch(path, json={"name": "planted again"})
        assert answer.status == 200, await answer.text()

        entries = await database.audit_logs.find().to_list()

        assert [entry["action"] for entry in entries] == ["agent.create", "agent.update"]
        assert entries[1]["details"] == {"fields": ["name"]}
        assert "planted" not in str(entries)


class TestCreate:
    async def test_stores_all_fields(self, alice: HttpClient) -> None:
        given = {
            "name": "Pirate",
            "model": "gpt-x",
            "system_prompt": "Speak as a pirate.",
            "temperature": 0.1,
            "max_conversation_tokens": 100,
            "conversation_memory_enabled": False,
            "auto_generate_summary": False,
            "history_limit": 3,
            "allowed_tools": ["clock"],
        }

        made = await make(alice, **given)

        assert given.items() <= made.items()
        read = await alice.get(f"/agents/{made['id']}")
        assert await read.json() == made

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"temperature": 3},
            {"history_limit": 0},
            {"max_conversation_tokens": 0},
            {"api_key": KEY},
            {"provider": "unheard"},
            {"system_prompt": "x" * 32_001},
        ],
    )
    async def test_refuses_invalid_input(self, alice: HttpClient, wrong: dict[str, Any]) -> None:
        answer = await alice.post("/agents", json={"name": "Helper", **wrong})

        assert await wrong_fields(answer) == [["body", next(iter(wrong))]]

    async def test_lets_only_admins_share_an_agent(self, alice: HttpClient) -> None:
        answer = await alice.post("/agents", json={"name": "Helper", "shared": True})

        await problem(answer, 403, "permission_denied")


class TestRepeat:
    async def test_creates_nothing(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        body = {"name": "Helper"}
        first = await alice.post("/agents", json=body, headers=REPEATED)
        again = await elsewhere.post("/agents", json=body, headers=REPEATED)
        assert (first.status, again.status) == (201, 201)
        assert await again.json() == await first.json()
        assert again.headers["Location"] == first.headers["Location"]
        assert await names(alice) == ["Assistant", "Helper"]
        made = (await first.json())["id"]
        found = database.audit_logs.find({"action": "agent.create"}).sort("_id")
        entries = await found.to_list()
        assert [each["resource_id"] for each in entries] == [made] * 2
        assert entries[1]["details"] == {"replayed": True}

    async def test_creates_one_agent_for_twenty_concurrent_requests(
        self, alice: HttpClient, elsewhere: HttpClient, database: Any
    ) -> None:
        posts = [
            (alice, elsewhere)[n % 2].post("/agents", json={"name": "Helper"}, headers=REPEATED)
            for n in range(20)
        ]
        answers = await asyncio.gather(*posts)
        assert {answer.status for answer in answers} == {201}
        assert len({(await answer.json())["id"] for answer in answers}) == 1
        assert await names(alice) == ["Assistant", "Helper"]
        assert await database.audit_logs.count_documents({"action": "agent.create"}) == 20

    async def test_returns_the_current_state_of_the_agent(self, alice: HttpClient) -> None:
        made = await (await alice.post("/agents", json={"name": "A"}, headers=REPEATED)).json()
        await alice.patch(f"/agents/{made['id']}", json={"name": "B"})
        again = await alice.post("/agents", json={"name": "A"}, headers=REPEATED)
        assert (await again.json())["name"] == "B"

    async def test_is_not_found_after_the_deletion(self, alice: HttpClient, database: Any) -> None:
        made = await (await alice.post("/agents", json={"name": "A"}, headers=REPEATED)).json()
        await alice.delete(f"/agents/{made['id']}")
        again = await alice.post("/agents", json={"name": "A"}, headers=REPEATED)
        await problem(again, 404, "not_found")
        assert await names(alice) == ["Assistant"]
        mine = {"request_id": again.headers["X-Request-ID"]}
        [entry] = await database.audit_logs.find(mine).to_list()
        assert (entry["outcome"], entry["code"]) == ("denied", "not_found")

    async def test_is_refused_with_another_body(self, alice: HttpClient, bob: HttpClient) -> None:
        await alice.post("/agents", json={"name": "A"}, headers=REPEATED)
        other = await alice.post("/agents", json={"name": "B"}, headers=REPEATED)
        await problem(other, 422, "idempotency_key_reused")
        assert (await bob.post("/agents", json={"name": "B"}, headers=REPEATED)).status == 201

    async def test_is_decided_again_after_a_refusal(
        self, alice: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("chatvault.agents.service.MAX_AGENTS", 0)
            refused = await alice.post("/agents", json={"name": "A"}, headers=REPEATED)
            await problem(refused, 422, "invalid_input")
        assert (await alice.post("/agents", json={"name": "A"}, headers=REPEATED)).status == 201


class TestChange:
    async def test_changes_only_the_given_fields(self, alice: HttpClient) -> None:
        made = await make(alice, temperature=0.2)

        answer = await alice.patch(f"/agents/{made['id']}", json={"name": "New", "model": "m"})

        changed = await answer.json()
        assert changed == {**made, "name": "New", "model": "m", "updated_at": changed["updated_at"]}

    @pytest.mark.parametrize("wrong", [{"name": None}, {"name": ""}, {"history_limit": None}])
    async def test_refuses_invalid_input(self, alice: HttpClient, wrong: dict[str, Any]) -> None:
        made = await make(alice)

        answer = await alice.patch(f"/agents/{made['id']}", json=wrong)

        assert await wrong_fields(answer) == [["body", next(iter(wrong))]]

    async def test_is_not_found_for_a_stranger(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await make(alice)
        for agent_id in (made["id"], "5" * 24):
            for call in (bob.get, bob.delete):
                await problem(await call(f"/agents/{agent_id}"), 404, "not_found")
            refused = await bob.patch(f"/agents/{agent_id}", json={"name": "Mine"})
            await problem(refused, 404, "not_found")

        assert (await alice.get(f"/agents/{made['id']}")).status == 200

    async def test_of_a_shared_agent_is_for_admins_only(
        self, alice: HttpClient, sign_in: SignIn
    ) -> None:
        admin = await sign_in("root", role=Role.ADMIN)
        path = f"/agents/{(await make(admin, shared=True))['id']}"

        await problem(await alice.patch(path, json={"name": "x"}), 403, "permission_denied")
        await problem(await alice.delete(path), 403, "permission_denied")
        assert (await admin.patch(path, json={"name": "x"})).status == 200
        assert (await admin.delete(path)).status == 204
        assert (await alice.get(path)).status == 404

    async def test_refuses_the_built_in_agent(self, alice: HttpClient) -> None:
        path = f"/agents/{'0' * 24}"

        await problem(await alice.patch(path, json={"name": "x"}), 403, "permission_denied")
        await problem(await alice.delete(path), 403, "permission_denied")

    async def test_is_audited_without_content(self, alice: HttpClient, database: Any) -> None:
        made = await make(alice, name="Secret name", system_prompt="Secret prompt")
        await alice.patch(f"/agents/{made['id']}", json={"name": "Other secret"})
        await alice.delete(f"/agents/{made['id']}")

        entries = await database.audit_logs.find({"resource_type": "agent"}).to_list()
        assert [each["action"] for each in entries] == [
            "agent.create", "agent.update", "agent.delete",
        ]  # fmt: skip
        assert {each["resource_id"] for each in entries} == {made["id"]}
        assert "ecret" not in str(entries)


class TestSettings:
    def test_show_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(
            "CHATVAULT_PROVIDERS",
            f'{{"groq": {{"base_url": "https://g.example/v1", "api_key": "{KEY}", "model": "m"}}}}',
        )
        settings = load_settings()

        assert settings.providers["groq"].api_key is not None
        assert KEY not in repr(settings)
        shown = {name: value for name, value, _ in describe(settings)}
        assert shown["CHATVAULT_PROVIDERS"] == "groq"

    @pytest.mark.parametrize(
        "value",
        [
            KEY,
            f'["{KEY}"]',
            f'{{"a": "{KEY}"}}',
            f'{{"a": {{"api_key": "{KEY}"}}}}',
            f'{{"a": {{"model": "m", "key": "{KEY}"}}}}',
            f'{{"a": {{"model": "m", "base_url": "https://u:{KEY}@x/v1"}}}}',
        ],
    )
    def test_name_the_error_without_the_key(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("CHATVAULT_PROVIDERS", value)

        with pytest.raises(InvalidSettings) as refused:
            load_settings()

        assert "CHATVAULT_PROVIDERS" in refused.value.detail
        assert KEY not in refused.value.detail

    def test_require_the_default_provider(self) -> None:
        with pytest.raises(ValueError, match="DEFAULT_PROVIDER"):
            Settings(default_provider="none")


class TestAtOnce:
    async def test_applies_each_of_fifty_changes(self, alice: HttpClient) -> None:
        agent = await (await alice.post("/agents", json={"name": "A"})).json()
        path = f"/agents/{agent['id']}"
        answers = await asyncio.gather(
            *(alice.patch(path, json={"history_limit": n + 1}) for n in range(50))
        )
        assert {answer.status for answer in answers} == {200}
        limits = [(await answer.json())["history_limit"] for answer in answers]
        assert sorted(limits) == list(range(1, 51))
        assert (await (await alice.get(path)).json())["history_limit"] in limits
