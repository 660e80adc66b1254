import asyncio
from typing import Any

from conftest import HttpClient
from support.factories import begin, message


class TestAppend:
    async def test_keeps_fifty_concurrent_messages(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}/messages"

        answers = await asyncio.gather(
            *(alice.post(path, json=message(str(number))) for number in range(50))
        )

        assert {answer.status for answer in answers} == {200}
        stored = await (await alice.get(f"/conversations/{conversation['id']}")).json()
        assert sorted(int(each["content"]) for each in stored["messages"]) == list(range(50))
        assert [each["seq"] for each in stored["messages"]] == list(range(50))
        assert stored["total_messages"] == 50
        assert stored["version"] == 51

    async def test_loses_nothing_during_a_metadata_put(self, alice: HttpClient) -> None:
        conversation = await begin(alice)
        path = f"/conversations/{conversation['id']}"

        for number in range(40):
            await asyncio.gather(
                alice.post(f"{path}/messages", json=message(str(number))),
                alice.put(path, json={"metadata": {"round": number}}),
            )
            stored = await (await alice.get(path)).json()
            assert stored["total_messages"] == len(stored["messages"]) == number + 1
            assert stored["metadata"] == {"round": number}

    async def test_is_not_found_for_a_stranger(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice)

        answer = await bob.post(
            f"/conversations/{conversation['id']}/messages", json=message("intruder")
        )

        assert answer.status == 404
        problem: dict[str, Any] = await answer.json()
        assert problem["code"] == "not_found"
        assert problem["detail"] == "Conversation not found"
