"""Made-up files as the frontend's Export button writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chatvault.fields import format_instant

BEGAN = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
METRICS = {"totalTime": 0.8, "tokensPerSecond": 20, "promptTokens": 30, "completionTokens": 12}
SETTINGS = {"theme": "dark", "language": "de", "autoSave": False, "showTimestamps": True}


def exported(number: int, *, messages: int = 4, words: int = 3) -> dict[str, Any]:
    """Return a conversation of an Export file; half of its messages are replies."""
    began = BEGAN + timedelta(days=number, milliseconds=511)
    replies = messages // 2
    return {
        "id": f"mwop8gsv{number:x}",
        "title": f"About {number}",
        "messages": [_message(number, place, began, words) for place in range(messages)],
        "createdAt": format_instant(began),
        "updatedAt": format_instant(began + timedelta(minutes=messages)),
        "isLoading": False,
        "thinkingTimes": [0.5 + reply for reply in range(replies)],
        "averageThinkingTime": replies / 2,
        "totalThinkingTime": 0.5 * replies**2,
        "responseCount": replies,
    }


def _message(number: int, place: int, began: datetime, words: int) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": f"m{number:x}-{place}",
        "type": "assistant" if place % 2 else "user",
        "content": f"{number}/{place} " + "Hällo • 🎉\n" * words,
        "timestamp": format_instant(began + timedelta(seconds=place, milliseconds=place)),
    }
    if place % 2:
        message |= {"metrics": METRICS, "model": "qwen2.5:14b"}
    if place % 4 == 3:  # every other message is a reply
        message["cancelled"] = True
    return message


def as_stored(conversation: dict[str, Any]) -> dict[str, Any]:
    """Return what REST should show of an exported conversation."""
    kept = ("thinkingTimes", "averageThinkingTime", "totalThinkingTime", "responseCount")
    messages = [
        {("role" if name == "type" else name): value for name, value in message.items()}
        for message in conversation["messages"]
    ]
    return {
        "title": conversation["title"],
        "messages": messages,
        "metadata": {name: conversation[name] for name in kept if name in conversation},
        "created_at": conversation["createdAt"],
        "updated_at": conversation["updatedAt"],
        "last_message_at": messages[-1]["timestamp"] if messages else None,
        "total_messages": len(messages),
        "status": "active",
    }


def shown(conversation: dict[str, Any]) -> dict[str, Any]:
    """Return the part of REST's answer that `as_stored` predicts."""
    expected = as_stored(exported(0))
    seen = {name: conversation[name] for name in expected}
    seen["messages"] = [
        {name: value for name, value in message.items() if name != "seq"}
        for message in conversation["messages"]
    ]
    return seen
