"""Conversations that tests share."""

from typing import Any

from conftest import HttpClient


def at(conversation: dict[str, Any], further: str = "") -> str:
    """Return the path of a conversation, or of something of it."""
    return f"/conversations/{conversation['id']}{further}"


async def grant(
    owner: HttpClient, conversation: dict[str, Any], user: str, role: str = "viewer", **more: Any
) -> dict[str, Any]:
    """Share a conversation, over HTTP."""
    body = {"role": role, **more}
    answer = await owner.put(at(conversation, f"/grants/{user}"), json=body)
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def revoke(owner: HttpClient, conversation: dict[str, Any], user: str) -> None:
    """End a grant, over HTTP."""
    answer = await owner.delete(at(conversation, f"/grants/{user}"))
    assert answer.status == 204, await answer.text()


async def code_of(answer: Any) -> str:
    """Return the code of a refusal."""
    found: str = (await answer.json())["code"]
    return found
