"""Uses a client that openapi-python-client generated: `python use_generated.py URL`.

Runs in that program's own environment, with the generated package `made` on the path, so what it
imports is known to no type checker here.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def load(name: str) -> Any:
    return importlib.import_module(f"made.{name}")


def call(client: Any, path: str, **given: Any) -> Any:
    """Return an operation's status, and the parsed body."""
    return load(f"api.{path}").sync_detailed(client=client, **given)


def main(url: str) -> None:
    models, types = load("models"), load("types")
    folder = Path(load("api").__file__).parent
    files = [each for each in folder.rglob("*.py") if each.name != "__init__.py"]
    operations = [load(f"api.{each.parent.name}.{each.stem}") for each in files]

    with load("client").Client(base_url=url) as client:
        account = {"username": "gerda", "password": "correct-horse"}
        wanted = models.RegisterIn(**account, email="gerda@example.org")
        user = call(client, "accounts.register", body=wanted).parsed
        signed_in = call(client, "sessions.login", body=models.LoginIn(**account)).parsed
        assert signed_in.user.id == user.id

        first = models.MessageIn(role=models.MessageRole.USER, content="Hello")
        wanted = models.ConversationCreate(title="Made by a client", messages=[first])
        begun = call(client, "conversations.create_conversation", body=wanted).parsed
        assert begun.messages[0].role is models.MessageRole.USER
        where = {"conversation_id": begun.id}

        second = models.MessageIn(role=models.MessageRole.ASSISTANT, content="Hello yourself")
        more = {"body": second, "prefer": "return=minimal", "idempotency_key": "once"}
        appended = call(client, "messages.append_message", **where, **more)
        assert appended.parsed.total_messages == 2, appended.parsed
        page = call(client, "messages.list_messages", **where, limit=1).parsed
        assert (page.pagination.total, page.pagination.has_more) == (2, True)

        # A left-out field keeps its value: sending its default would change it.
        patch = models.ConversationPatch(tags=["kept"])
        match = {"if_match": appended.headers["ETag"]}
        patched = call(client, "conversations.patch_conversation", **where, body=patch, **match)
        assert (patched.parsed.title, patched.parsed.tags) == ("Made by a client", ["kept"])
        stale = call(client, "conversations.patch_conversation", **where, body=patch, **match)
        assert (stale.status_code, stale.parsed.code) == (412, "stale_version")
        [listed] = call(client, "conversations.list_conversations", view="summary").parsed
        assert isinstance(listed, models.ConversationSummary)

        gone = call(client, "conversations.delete_conversation", **where, if_match=types.UNSET)
        assert gone.status_code == 204
    sys.stdout.write(str(len(operations)))


if __name__ == "__main__":
    main(sys.argv[1])
