"""Data that tests make up."""

from typing import Any

from aiohttp import ClientResponse

PASSWORD = "correct horse"


def account(username: str) -> dict[str, Any]:
    return {"username": username, "email": f"{username}@example.com"}


def message(content: str = "Hello", role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


async def begin(http: Any, **fields: Any) -> dict[str, Any]:
    """A conversation of the browser's user, over HTTP."""
    answer: ClientResponse = await http.post("/conversations", json=fields)
    assert answer.status == 201, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body
