"""Other names of parameters, fields and answers, and that nobody sees them who does not ask."""

from typing import Any

import pytest

from chatvault.http.dialects import Names
from chatvault.operations import ROUTES
from conftest import HttpClient
from support.answers import found, problem, wrong_fields
from support.factories import begin, message
from support.fake_model import FakeModel
from support.talking import ask

TITLES = ["a", "b", "c", "d", "e"]


async def json_of(answer: Any, status: int = 200) -> Any:
    assert answer.status == status, await answer.text()
    return await answer.json()


async def agent_of(http: HttpClient) -> str:
    agent = await json_of(await http.post("/agents", json={"name": "Helper"}), 201)
    return str(agent["id"])


class TestRequests:
    async def test_take_a_message_without_a_role_as_the_users(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/messages"

        shown = await json_of(await alice.post(path, json={"content": "Hello"}))

        assert [each["role"] for each in shown["messages"]] == ["user"]
        batch = await alice.post(f"{path}:batch", json={"messages": [{"content": "Hello"}]})
        assert await wrong_fields(batch) == [["body", "messages", 0, "role"]]

    async def test_name_the_agent_otherwise(self, alice: HttpClient, fake_model: FakeModel) -> None:
        agent_id = await agent_of(alice)

        begun = await begin(alice, squad_member_id=agent_id)
        await begin(alice)

        assert begun["agent_id"] == agent_id
        for path in ("/conversations", "/conversations?page=1"):
            given = await alice.get(path, params={"squad_member_id": agent_id})
            listed = await json_of(given)
            if isinstance(listed, dict):
                listed = listed["conversations"]
            assert [each["id"] for each in listed] == [begun["id"]]
        path = f"/conversations/{begun['id']}"
        default = {"squad_member_id": "0" * 24}
        assert (await json_of(await alice.patch(path, json=default)))["agent_id"] == "0" * 24
        context = await alice.get(f"{path}/context", params={"squad_member_id": agent_id})
        assert (await json_of(context))["agent_id"] == agent_id
        await ask(alice, begun, squad_member_id=agent_id)

    async def test_are_not_accepted_beside_ours(self, alice: HttpClient) -> None:
        agent_id = await agent_of(alice)
        both = {"agent_id": agent_id, "squad_member_id": agent_id}

        answer = await alice.post("/conversations", json=both)
        assert await wrong_fields(answer) == [["body", "squad_member_id"]]
        for query, place in (
            (f"agent_id={agent_id}&squad_member_id={agent_id}", "agent_id"),
            ("page=2&offset=5", "offset"),
            ("page_size=2&limit=5", "limit"),
            ("page=1&cursor=start", "cursor"),
            ("order=title&sort=title", "sort"),
            ("page=0", "page"),
            ("page_size=201", "page_size"),
            ("order=size", "order"),
            ("names=some", "names"),
            ("squad_member_id=x", "squad_member_id"),
        ):
            answer = await alice.get(f"/conversations?{query}")
            assert await wrong_fields(answer) == [["query", place]], query

    async def test_need_a_signed_in_user(self, http: HttpClient) -> None:
        await problem(await http.get("/conversations?page=x"), 401, "authentication_required")


class TestLists:
    async def test_have_pages_with_numbers(self, alice: HttpClient) -> None:
        for title in TITLES:
            await begin(alice, title=title)

        first = await alice.get("/conversations?page=1&page_size=2&order=title")
        last = await alice.get("/conversations?page=3&page_size=2&order=title")

        page = await json_of(first)
        assert [each["title"] for each in page.pop("conversations")] == ["a", "b"]
        assert page == {"total": 5, "page": 1, "page_size": 2, "has_more": True}
        page = await json_of(last)
        assert [each["title"] for each in page["conversations"]] == ["e"]
        assert not page["has_more"]
        assert first.headers["Link"] == (
            '</conversations?page=2&page_size=2&order=title>; rel="next"'
        )
        assert last.headers["Link"] == (
            '</conversations?page=2&page_size=2&order=title>; rel="prev"'
        )
        usual = await json_of(await alice.get("/conversations?page=1"))
        assert (usual["page_size"], len(usual["conversations"])) == (20, 5)

    async def test_are_ordered_by_the_last_message(self, alice: HttpClient) -> None:
        begun = [await begin(alice, title=title, messages=[message()]) for title in "ab"]
        await alice.patch(f"/conversations/{begun[0]['id']}", json={"title": "c"})

        for order, titles in (("last_message_at", ["b", "c"]), ("updated_at", ["c", "b"])):
            listed = await json_of(await alice.get(f"/conversations?order={order}"))
            assert [each["title"] for each in listed] == titles


class TestAnswers:
    async def test_have_other_names_beside_ours(self, alice: HttpClient) -> None:
        told = [message("Hi"), message("Hello", "assistant", created_at="mine")]
        plain = await begin(alice, messages=told, title="T")
        path = f"/conversations/{plain['id']}"

        for answer in (
            await alice.get(f"{path}?names=all"),
            await alice.get("/conversations?names=all"),
            await alice.get("/conversations?names=all&page=1&view=full"),
            await alice.patch(f"{path}?names=all", json={}),
        ):
            shown = await json_of(answer)
            if "conversations" in shown:
                shown = shown["conversations"]
            shown = shown[0] if isinstance(shown, list) else shown
            assert shown["is_archived"] is False
            assert shown["squad_member_id"] == shown["agent_id"]
            for each, ours in zip(shown["messages"], plain["messages"], strict=True):
                assert ours.items() <= each.items()
                assert each["conversation_id"] == plain["id"]
            asked, answered = shown["messages"]
            assert (asked["user_id"], asked["created_at"]) == (plain["user_id"], asked["timestamp"])
            assert (answered["user_id"], answered["created_at"]) == (None, "mine")

    async def test_of_messages_have_them_too(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/messages"
        minimal = {"Prefer": "return=minimal"}

        appended = await json_of(
            await alice.post(f"{path}?names=all", json=message("a"), headers=minimal)
        )
        message_id = appended["message"]["id"]
        batch = {"messages": [message("b")]}
        replies = path.replace("messages", "replies")
        for each in (
            appended["message"],
            (await json_of(await alice.get(f"{path}?names=all")))["messages"][0],
            await json_of(await alice.get(f"{path}/{message_id}?names=all")),
            (await json_of(await alice.post(f"{path}:batch?names=all", json=batch)))["messages"][0],
            (await json_of(await alice.post(f"{replies}?names=all", json={"content": "c"}), 201))[
                "user_message"
            ],
        ):
            assert each["conversation_id"] == conversation["id"]
            assert each["user_id"] == conversation["user_id"]
            assert each["created_at"] == each["timestamp"]

    async def test_of_long_conversations_have_them(self, alice: HttpClient) -> None:
        told = [message(f"{number} " + "x" * 500) for number in range(300)]
        plain = await begin(alice, messages=told)

        shown = await json_of(await alice.get(f"/conversations/{plain['id']}?names=all"))

        assert len(shown["messages"]) == 300
        assert {each["conversation_id"] for each in shown["messages"]} == {plain["id"]}
        ours = await found(alice, plain["id"])
        for each in shown["messages"]:
            for name in ("conversation_id", "user_id", "created_at"):
                del each[name]
        assert shown["messages"] == ours["messages"]

    async def test_leave_deletions_unchanged(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        await alice.delete(f"/conversations/{conversation['id']}?permanent=true")

        since = "updated_since=2020-01-01T00:00:00Z"
        listed = await json_of(await alice.get(f"/conversations?{since}&names=all"))

        assert listed == await json_of(await alice.get(f"/conversations?{since}"))
        answer = await alice.get(f"/conversations?{since}&page=1")
        await problem(answer, 422, "invalid_input")


class TestArchive:
    @pytest.mark.parametrize("name", ["archived", "archive"])
    async def test_answers_put_with_two_fields(self, alice: HttpClient, name: str) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}"

        for body, archived in (({}, True), ({name: False}, False), ({name: True}, True)):
            answer = await alice.put(f"{path}/archive", json=body)
            assert await json_of(answer) == {"success": True, "archived": archived}
            status = "archived" if archived else "active"
            assert (await found(alice, conversation["id"]))["status"] == status
        shown = await json_of(await alice.get(f"{path}?names=all"))
        assert shown["is_archived"] is True
        stale = await alice.put(f"{path}/archive", json={}, headers={"If-Match": '"1"'})
        await problem(stale, 412, "stale_version")

    async def test_answers_post_with_the_conversation(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/archive"

        assert (await json_of(await alice.post(path, json={})))["status"] == "archived"
        await problem(await bob.put(path, json={}), 404, "not_found")
        deleted = await alice.delete(f"/conversations/{conversation['id']}")
        assert (deleted.status, await deleted.text()) == (204, "")


def test_dialects_have_no_parameter_of_their_operations() -> None:
    dialects = [
        (operation, operation.dialect) for routes in ROUTES for operation in routes
        if operation.dialect is not None
    ]  # fmt: skip
    assert len(dialects) > 10
    for operation, dialect in dialects:
        assert issubclass(dialect.parameters, Names)
        own = operation.models["query"].model_fields if "query" in operation.models else {}
        assert not own.keys() & dialect.parameters.model_fields.keys()
