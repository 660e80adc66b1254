"""Put the names that other clients know beside ours in answers.

A message may have fields of its client's own under these names; they stay.
"""

from typing import Any

from chatvault.conversations.models import MessageRole, Status
from chatvault.fields import Raw

# The type of an error in OpenAI's shape, by the status of the problem; else one of the next two.
ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
CLIENTS_FAULT = "invalid_request_error"
SERVERS_FAULT = "server_error"
FIRST_OF_SERVER = 500


def to_openai_error(problem: Raw) -> Raw:
    """Return a problem as OpenAI's clients read it."""
    status, errors = problem["status"], problem.get("errors") or ()
    usual = SERVERS_FAULT if status >= FIRST_OF_SERVER else CLIENTS_FAULT
    error = {
        "message": problem["detail"],
        "type": ERROR_TYPES.get(status, usual),
        "param": ".".join(map(str, errors[0]["loc"][1:])) or None if errors else None,
        "code": problem["code"],
    }
    return {"error": error}


def add_to_conversation(conversation: Raw) -> None:
    """Add the other names to a conversation of an answer, and to its messages."""
    if conversation.get("deleted") is True:
        return
    conversation["is_archived"] = conversation["status"] == Status.ARCHIVED
    conversation["squad_member_id"] = conversation["agent_id"]
    for message in conversation.get("messages", ()):
        add_to_message(message, conversation["id"], conversation["user_id"])


def add_to_message(message: Raw, conversation_id: str, user_id: str) -> None:
    """Add the other names to a message of an answer.

    Args:
        message: the message.
        conversation_id: the conversation it is in.
        user_id: who wrote it, if a person did.
    """
    is_persons = message["role"] == MessageRole.USER
    other: Raw = {
        "conversation_id": conversation_id,
        "user_id": user_id if is_persons else None,
        "created_at": message.get("timestamp"),
    }
    for name, value in other.items():
        message.setdefault(name, value)


def add_to_messages(answer: Any, conversation_id: str, user_id: str) -> None:
    """Add the other names to a message, to the messages of a page, or to those of an exchange."""
    if "role" in answer:
        add_to_message(answer, conversation_id, user_id)
    found = [answer.get(name) for name in ("message", "user_message", "assistant_message")]
    for message in (*answer.get("messages", ()), *filter(None, found)):
        add_to_message(message, conversation_id, user_id)
