"""Templates of conversations, and conversations made of them."""

from typing import Any

import pytest

from chatvault.templates import service
from conftest import HttpClient
from support.answers import problem, wrong_fields
from support.factories import begin, message

LETTER = {
    "name": "Letter",
    "system_prompt": "You write letters to {{ whom }}.",
    "messages": [
        {"role": "user", "content": "Write to {{whom}} of {{what}}, {not this} and {{not that}}."},
        {"role": "assistant", "content": "Dear {{whom}}"},
    ],
    "tags": ["letters"],
}


async def make(http: HttpClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/templates", json=LETTER | fields)
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    assert answer.headers["Location"] == f"/templates/{made['id']}"
    return made


class TestTemplates:
    async def test_are_kept_by_name_with_their_variables(self, alice: HttpClient) -> None:
        made = await make(alice)
        assert made["variables"] == ["whom", "what"]
        assert {name: made[name] for name in LETTER} == LETTER
        other = await make(alice, name="answer", messages=[], system_prompt=None)
        assert other["variables"] == []
        listed = (await (await alice.get("/templates")).json())["templates"]
        assert [each["name"] for each in listed] == ["answer", "Letter"]
        assert await (await alice.get(f"/templates/{made['id']}")).json() == made

    async def test_are_changed_and_removed(self, alice: HttpClient) -> None:
        path = f"/templates/{(await make(alice))['id']}"
        changed = await (await alice.patch(path, json={"system_prompt": None})).json()
        assert (changed["system_prompt"], changed["name"]) == (None, "Letter")
        assert changed["messages"] == LETTER["messages"]
        assert (await alice.delete(path)).status == 204
        await problem(await alice.get(path), 404, "not_found")
        await problem(await alice.patch(path, json={}), 404, "not_found")
        await problem(await alice.delete(path), 404, "not_found")

    async def test_name_what_there_is(self, alice: HttpClient) -> None:
        for field in ("agent_id", "category_id"):
            answer = await alice.post("/templates", json={"name": "A", field: "f" * 24})
            await problem(answer, 404, "not_found")

    async def test_are_bounded(self, alice: HttpClient, constants: pytest.MonkeyPatch) -> None:
        constants.setattr(service, "MAX_TEMPLATES", 1)
        await make(alice)
        await problem(await alice.post("/templates", json=LETTER), 409, "too_many_templates")

    async def test_have_texts_of_a_bounded_length(self, alice: HttpClient) -> None:
        half = [{"role": "user", "content": "a" * 32_000}]
        template = await make(alice, system_prompt=None, messages=half * 2)
        path = f"/templates/{template['id']}"
        longer = {"name": "Long", "messages": half * 2, "system_prompt": "b"}
        for refused in (
            await alice.post("/templates", json=longer),
            await alice.patch(path, json={"initial_message": "b"}),
        ):
            told = await problem(refused, 422, "invalid_input")
            [error] = told["errors"]
            assert (error["loc"], error["type"]) == (["body", "messages"], "template_too_long")
        assert await (await alice.get(path)).json() == template


class TestConversations:
    async def test_are_made_with_variables_filled_in(self, alice: HttpClient) -> None:
        work = (await (await alice.post("/categories", json={"name": "Work"})).json())["id"]
        template = await make(alice, category_id=work)
        values = {"whom": "Ann {{what}}", "what": "fjords\\1"}
        made = await begin(alice, template_id=template["id"], variables=values, title="Mine")
        assert made["system_prompt"] == "You write letters to Ann {{what}}."
        assert [each["content"] for each in made["messages"]] == [
            "Write to Ann {{what}} of fjords\\1, {not this} and {{not that}}.",
            "Dear Ann {{what}}",
        ]
        assert (made["tags"], made["category_id"], made["title"]) == (["letters"], work, "Mine")

    async def test_have_the_fields_that_are_given(self, alice: HttpClient) -> None:
        template = await make(alice)
        values = {"whom": "Ann", "what": "fjords"}
        given = {"tags": [], "messages": [message("Hello")], "system_prompt": "Be brief."}
        made = await begin(alice, template_id=template["id"], variables=values, **given)
        assert (made["tags"], made["system_prompt"]) == ([], "Be brief.")
        assert [each["content"] for each in made["messages"]] == ["Hello"]

    async def test_need_exactly_the_variables(self, alice: HttpClient) -> None:
        template_id = (await make(alice))["id"]
        body = {"template_id": template_id, "variables": {"whom": "Ann", "who": "Bob"}}
        refused = await alice.post("/conversations", json=body)
        assert await wrong_fields(refused) == [
            ["body", "variables", "what"],
            ["body", "variables", "who"],
        ]
        refused = await alice.post("/conversations", json={"variables": {"who": "Bob"}})
        assert await wrong_fields(refused) == [["body", "variables", "who"]]

    async def test_may_become_too_long(self, alice: HttpClient) -> None:
        template_id = (await make(alice))["id"]
        values = {"whom": "a" * 40_000, "what": ""}
        body = {"template_id": template_id, "variables": values}
        refused = await alice.post("/conversations", json=body)
        assert await wrong_fields(refused) == [["body", "variables"]]

    async def test_are_not_made_of_long_values_that_are_named_often(
        self, alice: HttpClient
    ) -> None:
        named = {"messages": [{"role": "user", "content": "{{a}}" * 20}], "system_prompt": None}
        template_id = (await make(alice, **named))["id"]
        body = {"template_id": template_id, "variables": {"a": "b" * 50_000}}
        refused = await alice.post("/conversations", json=body)
        [error] = (await problem(refused, 422, "invalid_input"))["errors"]
        assert (error["loc"], error["type"]) == (["body", "variables"], "too_long")

    async def test_are_made_of_ones_own_templates(self, alice: HttpClient, bob: HttpClient) -> None:
        template_id = (await make(alice))["id"]
        body = {"template_id": template_id, "variables": {"whom": "Ann", "what": "x"}}
        await problem(await bob.post("/conversations", json=body), 404, "not_found")

    async def test_come_again_for_a_key_when_the_template_is_gone(self, alice: HttpClient) -> None:
        template = await make(alice)
        body = {"template_id": template["id"], "variables": {"whom": "Ann", "what": "x"}}
        headers = {"Idempotency-Key": "once"}
        first = await (await alice.post("/conversations", json=body, headers=headers)).json()
        await alice.delete(f"/templates/{template['id']}")
        second = await (await alice.post("/conversations", json=body, headers=headers)).json()
        assert second == first

    async def test_are_in_no_category_that_is_gone(self, alice: HttpClient) -> None:
        work = (await (await alice.post("/categories", json={"name": "Work"})).json())["id"]
        template = await make(alice, category_id=work, messages=[], system_prompt=None)
        await alice.delete(f"/categories/{work}")
        assert (await begin(alice, template_id=template["id"]))["category_id"] is None
