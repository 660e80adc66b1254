"""Checks of answers over HTTP."""

import re
from typing import Any

from aiohttp import ClientResponse

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JSON = {"Content-Type": "application/json"}


async def problem(answer: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """Return the body of an error, which must be a problem with one readable sentence."""
    text = await answer.text()
    assert answer.status == status, text
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = await answer.json(content_type=None)
    assert body["code"] == code
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert isinstance(body["detail"], str)
    assert body["detail"].strip()
    assert "\n" not in body["detail"]
    return body


async def wrong_fields(answer: ClientResponse) -> list[list[str | int]]:
    """Return the places of the wrong fields of a 422."""
    body = await problem(answer, 422, "invalid_input")
    assert all(each["msg"] and each["type"] for each in body["errors"])
    return [each["loc"] for each in body["errors"]]


async def found(http: Any, conversation_id: str) -> dict[str, Any]:
    """Return the conversation as its owner reads it."""
    answer: ClientResponse = await http.get(f"/conversations/{conversation_id}")
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body
