"""Count the content of a foreign file without any code of the readers under test.

    python tests/support/counting.py FORMAT FILE...

prints for each file its conversations, messages, branch points and the length of the active paths.
"""

import html
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

NO_PARENT = {
    None,
    "",
    "00000000-0000-0000-0000-000000000000",
    "00000000-0000-4000-8000-000000000000",
}


class Node(NamedTuple):
    id: str
    parent: str | None
    said: list[str]
    time: float


class Counts(NamedTuple):
    conversations: int
    messages: int
    branch_points: int
    on_path: int
    said: list[str]


def count(kind: str, data: bytes) -> Counts:
    """Count what a file of a format holds."""
    found = [*COUNTERS[kind](data)]
    said = [word for nodes, _ in found for node in nodes for word in node.said if word.strip()]
    return Counts(
        conversations=len(found),
        messages=sum(len({node.id for node in nodes}) for nodes, _ in found),
        branch_points=sum(map(_branch_points, (nodes for nodes, _ in found))),
        on_path=sum(_on_path(nodes, leaf) for nodes, leaf in found),
        said=sorted(said),
    )


Found = Iterator[tuple[list[Node], str | None]]


def _branch_points(nodes: list[Node]) -> int:
    children = defaultdict(set)
    names = {node.id for node in nodes}
    for node in nodes:
        if node.parent in names:
            children[node.parent].add(node.id)
    return sum(len(each) > 1 for each in children.values())


def _on_path(nodes: list[Node], leaf: str | None) -> int:
    parents = {node.id: node.parent for node in nodes}
    if not nodes:
        return 0
    if leaf not in parents:
        inner = set(parents.values())
        leaves = [(node.time, at, node.id) for at, node in enumerate(nodes) if node.id not in inner]
        leaf = max(leaves)[2]
    length = 0
    while leaf in parents:
        length += 1
        leaf = parents[leaf]
    return length


def _seconds(value: Any) -> float:
    if isinstance(value, dict):
        value = int(value["$date"]["$numberLong"])
    if isinstance(value, int | float):
        return value / 1000 if value > 1e11 else value
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return 0


def _all(data: bytes) -> list[Any]:
    text = data.decode("utf-8-sig")
    try:
        whole = json.loads(text)
    except ValueError:
        whole = []
        for line in text.splitlines():
            try:
                whole.append(json.loads(line))
            except ValueError:
                continue
    return whole if isinstance(whole, list) else [whole]


def _linear(said: list[list[str]]) -> tuple[list[Node], str | None]:
    nodes = [Node(str(at), str(at - 1), words, at) for at, words in enumerate(said)]
    return nodes, None


def _chatgpt(data: bytes) -> Found:
    for each in _all(data):
        if not isinstance(each.get("mapping"), dict):
            continue
        tree = each["mapping"]
        nodes = []
        for name, node in tree.items():
            message = node.get("message")
            if not message:
                continue
            parent = node.get("parent")
            while parent in tree and not tree[parent].get("message"):
                parent = tree[parent].get("parent")
            content = message.get("content") or {}
            said = [each for each in content.get("parts") or [] if isinstance(each, str)]
            said += [
                content[key] for key in ("text", "result") if isinstance(content.get(key), str)
            ]
            said += [thought["content"] for thought in content.get("thoughts", [])]
            nodes.append(Node(name, parent, said, message.get("create_time") or 0))
        yield nodes, each.get("current_node")


def _deepseek(data: bytes) -> Found:
    for each in _all(data):
        tree = each["mapping"]
        nodes = []
        for name, node in tree.items():
            message = node.get("message")
            if message:
                said = [part["content"] for part in message["fragments"] if "content" in part]
                time = _seconds(message["inserted_at"])
                nodes.append(Node(name, node["parent"], said, time))
        yield nodes, each.get("current_node")


def _claude(data: bytes) -> Found:
    for each in _all(data):
        if "chat_messages" not in each:
            continue
        found = each["chat_messages"]
        is_tree = any(message.get("parent_message_uuid") for message in found)
        nodes = []
        for at, message in enumerate(found):
            blocks = message.get("content") or []
            said = [block["text"] for block in blocks if block["type"] == "text"]
            said = said or [message.get("text") or ""]
            said += [block["thinking"] for block in blocks if block["type"] == "thinking"]
            said += [file["extracted_content"] for file in message.get("attachments", [])]
            parent = message.get("parent_message_uuid") if is_tree else f"at {at - 1}"
            own = message["uuid"] if is_tree else f"at {at}"
            nodes.append(Node(own, parent, said, _seconds(message.get("created_at"))))
        yield nodes, each.get("current_leaf_message_uuid")


def _claude_code(data: bytes) -> Found:
    sessions: dict[str, dict[str, Node]] = {}
    for at, line in enumerate(_all(data)):
        if line.get("type") not in ("user", "assistant", "system", "attachment"):
            continue
        content = line.get("message", {}).get("content", line.get("content") or [])
        blocks = [{"text": content}] if isinstance(content, str) else content
        said = [block.get("text") or block.get("thinking") or "" for block in blocks]
        own = line.get("uuid") or f"line {at}"
        parent = line.get("parentUuid") or line.get("logicalParentUuid")
        node = Node(own, parent, said, _seconds(line["timestamp"]))
        sessions.setdefault(line["sessionId"], {})[own] = node
    for nodes in sessions.values():
        if any(node.parent for node in nodes.values()):
            yield [*nodes.values()], None
        else:
            yield _linear([node.said for node in nodes.values()])


def _codex(data: bytes) -> Found:
    said = []
    for line in _all(data):
        if line["type"] == "response_item":
            content = line["payload"].get("content") or []
            said.append([block["text"] for block in content])
    yield _linear(said)


def _gemini_cli(data: bytes) -> Found:
    for each in _all(data):
        said = []
        for message in each["messages"]:
            held = message["content"]
            blocks = held if isinstance(held, list) else [held]
            words = [block if isinstance(block, str) else block["text"] for block in blocks]
            said.append(words + [t["description"] for t in message.get("thoughts", [])])
        yield _linear(said)


def _gemini(data: bytes) -> Found:
    for each in json.loads(data):
        answers = each.get("safeHtmlItem", [])
        title = each["title"]
        is_prompt = title.startswith(("Prompted ", "Eingegebener Prompt: "))
        if "Gemini" in str(each.get("products")) and (answers or is_prompt):
            prompt = re.sub("^(Prompted |Eingegebener Prompt: )", "", title)
            words = [re.sub(r"<script>.*?</script>", "", item["html"]) for item in answers]
            words = [html.unescape(re.sub("<[^>]+>", " ", word)) for word in words]
            found = [[prompt], *([] if not words else [[*" ".join(words).split()]])]
            yield _linear(found)


def _open_webui(data: bytes) -> Found:
    for each in _all(data):
        history = each.get("chat", each)["history"]
        nodes = [
            Node(
                name,
                node["parentId"],
                [re.sub("<details.*?</details>", "", node["content"], flags=re.DOTALL).strip()],
                node.get("timestamp", 0),
            )
            for name, node in history["messages"].items()
        ]
        yield nodes, history["currentId"]


def _librechat(data: bytes) -> Found:
    for each in _all(data):
        pending = [(node, None) for node in each.get("messagesTree") or each["messages"]]
        nodes = []
        while pending:
            message, above = pending.pop(0)
            parent = above or message.get("parentMessageId")
            parent = None if parent in NO_PARENT else parent
            said = [message.get("text") or ""]
            for block in message.get("content", []):
                said += [block[key] for key in ("text", "think") if isinstance(block.get(key), str)]
            time = _seconds(message["createdAt"])
            nodes.append(Node(message["messageId"], parent, said, time))
            pending += [(child, message["messageId"]) for child in message.get("children", [])]
        yield nodes, None


def _grok(data: bytes) -> Found:
    for each in json.loads(data)["conversations"]:
        nodes = []
        for at, held in enumerate(each["responses"]):
            response = held.get("response", held)
            own = response.get("_id") or response.get("responseId") or f"at {at}"
            parent = response.get("parent_response_id") or response.get("parentResponseId")
            is_linear = "_id" not in response and "responseId" not in response
            parent = f"at {at - 1}" if is_linear else parent
            time = _seconds(response.get("create_time") or response.get("createTime"))
            nodes.append(Node(own, parent, [response["message"]], time))
        yield nodes, None


def _sharegpt(data: bytes) -> Found:
    for each in _all(data):
        spoken = {"function_call", "observation"}
        yield _linear(
            [[] if turn["from"] in spoken else [turn["value"]] for turn in each["conversations"]]
        )


def _openai(data: bytes) -> Found:
    for each in _all(data):
        said = []
        for message in each["messages"]:
            content = message.get("content") or ""
            blocks = [{"text": content}] if isinstance(content, str) else content
            words = [block.get("text") or block.get("value") or "" for block in blocks]
            said.append([] if message["role"] == "tool" else words)
        yield _linear(said)


def _sillytavern(data: bytes) -> Found:
    nodes: list[Node] = []
    before = None
    for at, line in enumerate(_all(data)[1:]):
        own = f"{at}"
        shown = line.get("swipe_id", 0)
        for other, words in enumerate(line.get("swipes", [])):
            if other != shown:
                nodes.append(Node(f"{at}.{other}", before, [words], 0))
        nodes.append(Node(own, before, [line["mes"]], 0))
        before = own
    yield nodes, before


def _ai_studio(data: bytes) -> Found:
    for each in _all(data):
        nodes: list[Node] = []
        for at, chunk in enumerate(each["chunkedPrompt"]["chunks"]):
            parent = chunk.get("branchParent", {}).get("id") or (nodes[-1].id if nodes else None)
            parts = [part.get("text", "") for part in chunk.get("parts", [])]
            said = [chunk["text"]] if chunk.get("text") else parts
            nodes.append(Node(chunk.get("id", f"at {at}"), parent, said, at))
        yield nodes, nodes[-1].id


def _chatbot_ui(data: bytes) -> Found:
    whole = json.loads(data)
    for each in whole if isinstance(whole, list) else whole["history"]:
        yield _linear([[message["content"]] for message in each["messages"]])


def _own(data: bytes) -> Found:
    text = data.decode()
    whole = json.loads(text) if "\n{" not in text else None
    told = whole["conversations"] if whole else map(json.loads, text.splitlines()[1:-1])
    for each in told:
        yield _linear([[message["content"]] for message in each["messages"]])


COUNTERS: dict[str, Callable[[bytes], Found]] = {
    "ai-studio": _ai_studio,
    "chatbot-ui": _chatbot_ui,
    "chatgpt": _chatgpt,
    "chatvault": _own,
    "claude": _claude,
    "claude-code": _claude_code,
    "codex": _codex,
    "deepseek": _deepseek,
    "gemini": _gemini,
    "gemini-cli": _gemini_cli,
    "grok": _grok,
    "librechat": _librechat,
    "open-webui": _open_webui,
    "openai-messages": _openai,
    "sharegpt": _sharegpt,
    "sillytavern": _sillytavern,
}

if __name__ == "__main__":
    for name in sys.argv[2:]:
        print(name, *count(sys.argv[1], Path(name).read_bytes())[:4])  # noqa: T201  # prints for people
