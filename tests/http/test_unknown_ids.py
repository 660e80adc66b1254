"""An id that leads to nothing is answered in the same words, whatever is the matter with it."""

import re
from itertools import chain
from typing import Any

import pytest
from bson import ObjectId

from chatvault.http.routing import Operation
from chatvault.operations import ROUTES
from conftest import HttpClient
from support.factories import begin, message

# They say nothing of a thing: an unknown tool cannot be approved, messages that are gone had no
# revisions, and others have no id or are for auditors and admins only.
OTHERS = {
    "/conversations/{conversation_id}/grants/{user}",
    "/admin/holds/{hold_id}/conversations",
    "/admin/holds/{hold_id}/conversations/{conversation_id}/messages",
    "/admin/users/{user_id}",
    "/admin/users/{user_id}/sessions",
    "/admin/users/{user_id}/keys",
    "/admin/users/{user_id}/password-reset",
    "/admin/quotas/{subject}",
    "/admin/retention/{role}",
    "/mcp/rules/{tool}",
    "/conversations/{conversation_id}/messages/{message_id}/revisions",
    "/admin/holds/{hold_id}",
}
WITH_IDS = [
    each
    for each in chain.from_iterable(ROUTES)
    if "path" in each.models and each.path not in OTHERS
]
BODIES: dict[str, Any] = {
    "/conversations/{conversation_id}/messages": message(),
    "/conversations/{conversation_id}/messages:batch": {"messages": [message()]},
    "/conversations/{conversation_id}/messages/{message_id}/execute-command": {"command": "ls"},
    "/conversations/{conversation_id}/active-leaf": {"message_id": "x"},
    "/conversations/{conversation_id}/notes": {"message_id": "m", "content": "x"},
    "/conversations/{conversation_id}/notes/{note_id}": {"content": "x"},
    "/conversations/{conversation_id}/replies": {"content": "x"},
    "/conversations/{conversation_id}/group-grants/{group_id}": {"role": "viewer"},
    "/groups/{group_id}": {"name": "x"},
    "/groups/{group_id}/members/{user}": {"role": "member"},
}
QUERIES: dict[str, Any] = {"/conversations/{conversation_id}/attachments": {"name": "a"}}

HEADERS = {
    "/imports/uploads/{upload_id}": {
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    },
}


@pytest.mark.parametrize("operation", WITH_IDS, ids=lambda each: f"{each.method} {each.path}")
async def test_unknown_ids_of_each_kind_get_the_same_answer(
    alice: HttpClient, bob: HttpClient, operation: Operation
) -> None:
    theirs = await begin(bob, messages=[message(id="m")])
    absent = str(ObjectId())
    told = set()
    for wrong in (theirs["id"], absent, "nonsense", "0", "x" * 24):
        path = re.sub(r"\{message_id\}", "m", operation.path)
        path = re.sub(r"\{conversation_id\}", wrong, path)
        path = path.replace("{number}", "1").replace("{token}", wrong).replace("{user}", "bob")
        path = re.sub(r"\{\w+_id\}", absent if "conversation_id" in operation.path else wrong, path)
        body, query = BODIES.get(operation.path, {}), QUERIES.get(operation.path)
        headers = HEADERS.get(operation.path, {})
        answer = await alice.request(
            operation.method, path, json=body, params=query, headers=headers
        )
        problem = await answer.json()
        told.add((answer.status, problem["code"], problem["detail"]))

    [(status, _, detail)] = told
    assert status == 404
    assert re.fullmatch("[A-Z][a-z]+ not found", detail)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/conversations/{c}/messages/{wrong}", "Message not found"),
        ("/conversations/{c}/attachments/{wrong}", "Attachment not found"),
        ("/conversations/{c}/replies/{wrong}", "Reply not found"),
        ("/conversations/{c}/commands/{wrong}", "Command not found"),
        ("/agents/{wrong}", "Agent not found"),
    ],
)
async def test_unknown_part_is_named(alice: HttpClient, path: str, detail: str) -> None:
    begun = await begin(alice)
    for wrong in (str(ObjectId()), "non~sense"):
        answer = await alice.get(path.format(c=begun["id"], wrong=wrong))
        assert (answer.status, (await answer.json())["detail"]) == (404, detail)
