"""Public links, made and opened over HTTP."""

from typing import Any
from urllib.parse import quote

from aiohttp import ClientResponse

KEY = {"Idempotency-Key": "once"}


def path_of(conversation: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}/links"


async def link_to(http: Any, conversation: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    """Make a link to a conversation of the browser's user."""
    answer: ClientResponse = await http.post(path_of(conversation), json=wanted)
    assert answer.status == 201, await answer.text()
    made: dict[str, Any] = await answer.json()
    return made


async def links_of(http: Any, conversation: dict[str, Any]) -> list[dict[str, Any]]:
    answer: ClientResponse = await http.get(path_of(conversation))
    assert answer.status == 200, await answer.text()
    listed: list[dict[str, Any]] = await answer.json()
    return listed


async def open_link(
    http: Any,
    token: str,
    *,
    password: str | None = None,
    link_pass: str | None = None,
    page: int = 1,
) -> ClientResponse:
    """Ask for a page of what a link shows."""
    headers = {}
    if password is not None:
        headers["Link-Password"] = quote(password, safe="")
    if link_pass is not None:
        headers["Link-Pass"] = link_pass
    params = {} if page == 1 else {"page": str(page)}
    answer: ClientResponse = await http.get(f"/shared/{token}", params=params, headers=headers)
    return answer


async def shown(http: Any, token: str, *, page: int = 1) -> dict[str, Any]:
    """Return a page of what a link shows."""
    answer = await open_link(http, token, page=page)
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


async def words(http: Any, token: str) -> list[str]:
    """Return the contents of all messages that a link shows, page by page."""
    found: list[str] = []
    page: int | None = 1
    while page is not None:
        body = await shown(http, token, page=page)
        found += [each["content"] for each in body["messages"]]
        page = body["next"]
    return found
