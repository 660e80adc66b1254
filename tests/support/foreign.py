"""Synthetic exports of other products: one file a format, with branches, tools and defects."""

import json
from typing import Any

NIL = "00000000-0000-4000-8000-000000000000"
DAY = "2026-03-10T18:0{}:00.000Z"


def lines(*values: Any) -> bytes:
    return b"\n".join(as_json(value) for value in values)


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def node(name: str, parent: str | None, message: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": name, "parent": parent, "children": [], "message": message}


def said(role: str, text: Any, at: float | None = None, **more: Any) -> dict[str, Any]:
    """A message of ChatGPT; `text` may be a whole content."""
    content = text if isinstance(text, dict) else {"content_type": "text", "parts": [text]}
    return {
        "id": "m",
        "author": {"role": role, "name": more.pop("name", None), "metadata": {}},
        "create_time": at,
        "content": content,
        "status": "finished_successfully",
        "weight": more.pop("weight", 1.0),
        "recipient": more.pop("recipient", "all"),
        "metadata": more,
    }


def chatgpt(**changes: Any) -> dict[str, Any]:
    """A conversation whose question was asked twice, and answered with a tool."""
    nodes = [
        node("root", None, None),
        node("system", "root", said("system", "", weight=0)),
        node("ask", "system", said("user", "Plan a trip 🎉", 1_700_000_001.25)),
        node("ask again", "system", said("user", "Plan a walk", 1_700_000_009.5)),
        node(
            "think",
            "ask",
            said(
                "assistant",
                {
                    "content_type": "thoughts",
                    "thoughts": [
                        {"summary": "Seas", "content": "They like the sea.", "chunks": []}
                    ],
                },
                1_700_000_002,
                model_slug="o3",
            ),
        ),
        node(
            "call",
            "think",
            said(
                "assistant",
                {"content_type": "code", "language": "unknown", "text": 'search("sea")'},
                1_700_000_003,
                recipient="web",
                model_slug="o3",
            ),
        ),
        node(
            "result",
            "call",
            said("tool", {"content_type": "execution_output", "text": "a beach"}, name="web"),
        ),
        node(
            "answer",
            "result",
            said(
                "assistant",
                "Go to the beach.",
                1_700_000_005,
                model_slug="o3",
                content_references=[{"url": "https://sea.example", "title": "Sea", "start_idx": 3}],
            ),
        ),
        node("other", "result", said("assistant", "Stay at home.", 1_700_000_004)),
    ]
    conversation = {
        "id": "c-1",
        "conversation_id": "c-1",
        "title": "Trip",
        "create_time": 1_700_000_000.0,
        "update_time": 1_700_000_010.0,
        "current_node": "answer",
        "default_model_slug": "auto",
        "mapping": {each["id"]: each for each in nodes},
    }
    return conversation | changes


def claude(**changes: Any) -> dict[str, Any]:
    """A conversation whose answer was tried twice, with an upload and an artifact."""
    messages = [
        {
            "uuid": "u1",
            "parent_message_uuid": NIL,
            "sender": "human",
            "text": "Read this",
            "content": [{"type": "text", "text": "Read this"}],
            "created_at": "2026-02-01T09:00:00.123456Z",
            "attachments": [
                {"file_name": "a.txt", "file_size": 12, "extracted_content": "Lorem in a file"}
            ],
            "files": [{"file_name": "b.png", "file_uuid": "f-1"}],
        },
        {
            "uuid": "a1",
            "parent_message_uuid": "u1",
            "sender": "assistant",
            "text": "Poor",
            "content": [{"type": "text", "text": "Poor answer"}],
            "created_at": "2026-02-01T09:01:00.000000Z",
        },
        {
            "uuid": "a2",
            "parent_message_uuid": "u1",
            "sender": "assistant",
            "text": "This block is not supported on your current device yet.",
            "content": [
                {
                    "type": "thinking",
                    "thinking": "Hm, lorem.",
                    "summaries": [{"summary": "Weighing"}],
                    "start_timestamp": "2026-02-01T09:02:00Z",
                    "stop_timestamp": "2026-02-01T09:02:02.500Z",
                },
                {
                    "type": "tool_use",
                    "id": "t1",
                    "name": "artifacts",
                    "input": {"command": "create", "content": "# Sea"},
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "name": "artifacts",
                    "content": [{"type": "text", "text": "OK"}],
                    "is_error": False,
                },
                {
                    "type": "text",
                    "text": "Better answer",
                    "citations": [{"url": "https://lorem.example", "title": "Lorem"}],
                },
                {"type": "token_budget", "remaining": 5},
                {"type": "hologram", "of": "the sea"},
            ],
            "created_at": "2026-02-01T09:02:00.000000+00:00",
        },
        {
            "uuid": "u2",
            "parent_message_uuid": "a2",
            "sender": "human",
            "text": "Thanks",
            "created_at": "2026-02-01T09:03:00Z",
        },
    ]
    conversation = {
        "uuid": "5f1f0e9a-0000-4000-8000-000000000001",
        "name": "",
        "created_at": "2026-02-01T09:00:00.000000Z",
        "updated_at": "2026-02-01T09:03:00.000000Z",
        "account": {"uuid": "acct", "email_address": "me@example.org"},
        "project_uuid": "p-1",
        "chat_messages": messages,
    }
    return conversation | changes


def open_webui() -> list[dict[str, Any]]:
    details = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds'
        "</summary>\n&gt; Is it &lt;deep&gt;?\n&gt; Yes.\n</details>\n"
    )
    tool = (
        '<details type="tool_calls" done="true" id="call_1" name="dive" '
        'arguments="{&quot;m&quot;: 3}" result="&quot;wet&quot;">\n<summary>Done</summary>\n'
        "</details>\n"
    )
    messages: dict[str, dict[str, Any]] = {
        "q": {"parentId": None, "role": "user", "content": "How deep?", "timestamp": 1_700_000_000},
        "one": {"parentId": "q", "role": "assistant", "content": "Deep.", "model": "a:1b"},
        "two": {
            "parentId": "q",
            "role": "assistant",
            "content": f"{details}{tool}Very deep.",
            "model": "b:2b",
            "timestamp": 1_700_000_002,
            "sources": [{"source": {"name": "Sea", "url": "https://sea.example"}}],
        },
        "lost": {"parentId": "nowhere", "role": "user", "content": "Hello?", "timestamp": 5},
    }
    for name, message in messages.items():
        message |= {"id": name, "childrenIds": []}
    chat = {
        "title": "Depth",
        "models": ["a:1b", "b:2b"],
        "history": {"messages": messages, "currentId": "two"},
        "messages": [messages["q"], messages["two"]],
        "timestamp": 1_700_000_000_123,
    }
    record = {
        "id": "w-1",
        "user_id": "me",
        "title": "Depth",
        "chat": chat,
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_009,
        "archived": False,
        "pinned": True,
        "meta": {"tags": ["sea"]},
    }
    return [record]


def librechat(*, is_nested: bool = True) -> dict[str, Any]:
    def message(name: str, parent: str, text: str, at: int, **more: Any) -> dict[str, Any]:
        return {
            "messageId": name,
            "parentMessageId": parent,
            "isCreatedByUser": name.startswith("q"),
            "sender": "User" if name.startswith("q") else "GPT",
            "text": text,
            "createdAt": DAY.format(at),
            "model": None if name.startswith("q") else "gpt-4o",
        } | more

    root = "00000000-0000-0000-0000-000000000000"
    blocks = [
        {"type": "think", "think": "Let me see."},
        {"type": "text", "text": "Blocks it is."},
        {
            "type": "tool_call",
            "tool_call": {"id": "c1", "name": "look", "args": '{"at": "sea"}', "output": "blue"},
        },
    ]
    found = [
        message("a2", "q1", "", 3, content=blocks, unfinished=True),
        message("q1", root, "What colour?", 1),
        message("a1", "q1", "Blue.", 2),
    ]
    if is_nested:
        found[1]["children"] = [found[2], found[0]]
        found = [found[1]]
    return {
        "conversationId": "l-1",
        "endpoint": "openAI",
        "title": "Colour",
        "exportAt": "16:33:32 GMT+0200",
        "branches": True,
        "recursive": is_nested,
        "options": {"model": "gpt-4o", "temperature": 1, "key": None},
        "messages": found,
    }


def gemini() -> list[dict[str, Any]]:
    def record(title: str, at: int, answer: str | None = None, **more: Any) -> dict[str, Any]:
        found = {
            "header": "Gemini Apps",
            "title": title,
            "time": DAY.format(at),
            "products": ["Gemini Apps"],
        } | more
        return found | ({"safeHtmlItem": [{"html": answer}]} if answer else {})

    url = {"titleUrl": "https://gemini.google.com/app/0123456789abcdef"}
    return [
        record("Prompted And then?", 4, "<p>Then <b>sea</b>.</p>", **url),
        record("Prompted What first?", 3, "<ul><li>sun</li></ul><script>x()</script>", **url),
        record("Eingegebener Prompt: Wann?", 2, "<p>Um 8 &amp; 9.</p>"),
        record("Prompted No answer", 1),
        record("Gave feedback: Good response", 1),
        {
            "header": "Search",
            "title": "Searched for gemini",
            "time": DAY.format(1),
            "products": ["Search"],
        },
    ]


def claude_code() -> list[dict[str, Any]]:
    def line(kind: str, name: str, parent: str | None, content: Any, at: int) -> dict[str, Any]:
        message = {"role": kind, "content": content}
        if kind == "assistant":
            message |= {"model": "claude-sonnet-4-5", "id": "msg_1", "usage": {"input_tokens": 3}}
        return {
            "type": kind,
            "uuid": name,
            "parentUuid": parent,
            "sessionId": "s-1",
            "timestamp": DAY.format(at),
            "cwd": "/home/me/sea",
            "gitBranch": "main",
            "version": "2.0.0",
            "isSidechain": False,
            "message": message,
        }

    uses = [
        {"type": "thinking", "thinking": "Look first.", "signature": "sig"},
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "sea.txt", "is_error": False}
    ]
    system = line("system", "y1", "r1", None, 3) | {"content": "Compacted", "subtype": "compact"}
    del system["message"]
    after = line("assistant", "a2", None, [{"type": "text", "text": "There it is."}], 4)
    return [
        {"type": "summary", "summary": "Finding the sea", "leafUuid": "a2"},
        {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
        line("user", "u1", None, "Where is the sea?", 0),
        line("assistant", "a1", "u1", uses, 1),
        line("user", "r1", "a1", results, 2),
        line("user", "u1b", "a1", "Stop that", 2),
        system,
        after | {"logicalParentUuid": "y1"},
        line("user", "u1", None, "Where is the great sea?", 0),
        {"type": "last-prompt", "sessionId": "s-1", "leafUuid": "a2"},
    ]


def deepseek() -> list[dict[str, Any]]:
    def message(at: int, *fragments: dict[str, Any]) -> dict[str, Any]:
        return {
            "files": [],
            "model": "deepseek-reasoner",
            "inserted_at": f"2026-03-10T18:0{at}:00.000000+08:00",
            "fragments": list(fragments),
        }

    asked = {"type": "REQUEST", "content": "Why salt?"}
    thought = {"type": "THINK", "content": "Rivers.", "elapsed_secs": 2.5}
    nodes = [
        node("root", None, None),
        node("1", "root", message(1, asked)),
        node("2", "1", message(2, thought, {"type": "RESPONSE", "content": "Because of rivers."})),
        node("3", "1", message(3, {"type": "RESPONSE", "content": "Nobody knows."})),
        node("4", "3", message(4, {"type": "FILE", "files": [{"file_id": "f", "file_name": "s"}]})),
    ]
    conversation = {
        "id": "d-1",
        "title": "Salt",
        "inserted_at": "2026-03-10T18:01:00.000000+08:00",
        "updated_at": "2026-03-10T18:04:00.000000+08:00",
        "mapping": {each["id"]: each for each in nodes},
    }
    return [conversation]


def grok() -> dict[str, Any]:
    def response(name: str, parent: str | None, text: str, at: int, **more: Any) -> dict[str, Any]:
        stamp = {"$date": {"$numberLong": str(1_700_000_000_000 + at)}}
        found = {
            "_id": name,
            "message": text,
            "sender": "human" if name.startswith("h") else "ASSISTANT",
            "create_time": stamp,
            "parent_response_id": parent,
            "model": "grok-4",
        }
        return {"response": found | more}

    camel = {"responseId": "x1", "message": "Hi", "sender": "human", "createTime": DAY.format(1)}
    answer = {
        "responseId": "x2",
        "message": "Hello",
        "sender": "assistant",
        "parentResponseId": "x1",
    }
    return {
        "conversations": [
            {
                "conversation": {"id": "g-1", "title": "Waves", "create_time": DAY.format(0)},
                "responses": [
                    response("h1", None, "How high?", 1),
                    response("a1", "h1", "High.", 2, thinking_trace="Storms."),
                    response("a2", "h1", "Very high.", 3, file_attachments=["asset-1"]),
                ],
            },
            {
                "conversation": {"conversationId": "g-2", "createTime": DAY.format(1)},
                "responses": [
                    camel,
                    answer | {"createTime": DAY.format(2), "parentResponseId": "x1"},
                ],
            },
        ],
        "projects": [{"name": "mine"}],
        "tasks": [],
    }


def sharegpt() -> list[dict[str, Any]]:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "How warm?"},
        {"from": "function_call", "value": '{"name": "measure", "arguments": {"what": "sea"}}'},
        {"from": "observation", "value": '{"celsius": 20}'},
        {"from": "gpt", "value": "20 °C."},
    ]
    short = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    return [
        {"id": "s-1", "conversations": turns, "tools": "[]"},
        {"conversations": short},
        {"conversations": short},
    ]


def openai_messages() -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "measure", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "How warm?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "20"},
        {"role": "assistant", "content": "20 °C.", "reasoning_content": "Celsius."},
    ]
    return [{"messages": messages}, {"messages": [{"role": "user", "content": "Hi"}]}]


def silly_tavern() -> list[dict[str, Any]]:
    def message(name: str, text: str, date: Any, **more: Any) -> dict[str, Any]:
        found = {"name": name, "is_user": name == "Me", "is_system": False, "send_date": date}
        return found | {"mes": text, "extra": {}} | more

    swipes = {"swipes": ["Ahoy?", "Ahoy!"], "swipe_id": 1, "swipe_info": [{"send_date": 1}, {}]}
    thinking = {"extra": {"model": "m", "reasoning": "Wet.", "reasoning_duration": 1500}}
    return [
        {"user_name": "unused", "character_name": "unused", "chat_metadata": {"integrity": "i-1"}},
        message("Siren", "Ahoy!", "2025-12-01T10:00:00.000Z", **swipes),
        message("Me", "Who sings?", "June 19, 2025 3:04pm"),
        message("Siren", "I do.", 1_674_563_371_558, **thinking),
        message("Note", "A storm comes.", "2023-1-22 @18h 55m 4s 22ms", extra={"type": "narrator"}),
        message("Siren", "Away!", None, is_system=True),
    ]


def ai_studio() -> dict[str, Any]:
    code = {"executableCode": {"language": "python", "code": "1+1"}}
    chunks = [
        {"id": "c1", "role": "user", "text": "Add", "createTime": DAY.format(1)},
        {"id": "c2", "role": "model", "text": "Adding.", "isThought": True},
        {"id": "c3", "role": "model", "text": "3?", "branchParent": {"id": "c1"}},
        {"id": "c4", "role": "model", "parts": [{"text": "It is"}], "branchParent": {"id": "c1"}}
        | code
        | {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        {"id": "c5", "role": "user", "inlineFile": {"mimeType": "image/png", "data": "iVBORw=="}},
    ]
    return {
        "runSettings": {"model": "models/gemini-2.5-pro", "temperature": 1},
        "systemInstruction": {"text": "Be exact."},
        "chunkedPrompt": {"chunks": chunks, "pendingInputs": [{"text": "", "role": "user"}]},
    }


def gemini_cli() -> dict[str, Any]:
    call = {
        "id": "l_0",
        "name": "list",
        "args": {"path": "."},
        "status": "error",
        "result": [{"functionResponse": {"response": {"output": "no"}}}],
    }
    messages = [
        {"id": "1", "timestamp": DAY.format(1), "type": "user", "content": [{"text": "List"}]},
        {
            "id": "2",
            "timestamp": DAY.format(2),
            "type": "gemini",
            "content": "Listing.",
            "thoughts": [{"subject": "Files", "description": "They want files."}],
            "toolCalls": [call],
            "model": "gemini-3",
        },
        {"id": "3", "timestamp": DAY.format(3), "type": "info", "content": "Cancelled."},
    ]
    return {
        "sessionId": "cli-1",
        "projectHash": "ab",
        "startTime": DAY.format(0),
        "lastUpdated": DAY.format(3),
        "messages": messages,
    }


def codex() -> list[dict[str, Any]]:
    def line(kind: str, payload: dict[str, Any], at: int) -> dict[str, Any]:
        return {"timestamp": DAY.format(at), "type": kind, "payload": payload}

    def item(at: int, kind: str, **payload: Any) -> dict[str, Any]:
        return line("response_item", {"type": kind} | payload, at)

    context = {"type": "input_text", "text": "<environment_context>\n/home\n</environment_context>"}
    asked = {"type": "input_text", "text": "Fix the leak"}
    answer = {"type": "output_text", "text": "Fixed."}
    return [
        line("session_meta", {"id": "x-1", "timestamp": DAY.format(0), "cwd": "/home"}, 0),
        line("turn_context", {"model": "gpt-5.5", "cwd": "/home"}, 0),
        item(1, "message", role="user", content=[context]),
        item(1, "message", role="user", content=[asked]),
        item(2, "reasoning", summary=[{"type": "summary_text", "text": "Leaks"}], content=None),
        item(3, "function_call", name="shell", arguments='{"cmd": "ls"}', call_id="k1"),
        item(4, "function_call_output", call_id="k1", output="pipe"),
        item(5, "message", role="assistant", content=[answer]),
        line("event_msg", {"type": "agent_message", "message": "Fixed."}, 5),
    ]


def chatbot_ui() -> dict[str, Any]:
    messages = [
        {"role": "user", "content": "Joke?"},
        {"role": "assistant", "content": "Knock knock."},
    ]
    return {
        "version": 4,
        "history": [
            {
                "id": "b-1",
                "name": "Jokes",
                "messages": messages,
                "model": {"id": "gpt-4", "name": "GPT-4"},
                "prompt": "",
                "temperature": 1,
                "folderId": None,
            }
        ],
        "folders": [],
        "prompts": [{"id": "p", "name": "x"}],
    }


def own_export() -> dict[str, Any]:
    """As docs/schema/export-1.json describes it."""
    at = "2026-01-31T10:00:00.123Z"
    messages = [
        {"id": "m0", "seq": 0, "role": "user", "content": "What time is it?", "timestamp": at},
        {
            "id": "m1",
            "seq": 2,
            "role": "assistant",
            "content": "Noon.",
            "timestamp": at,
            "model": "gpt-5",
            "extra": {"liked": True},
        },
    ]
    conversation = {
        "id": "65a5158ac8d8e8a8b8c8d8e8",
        "title": "Time",
        "status": "active",
        "tags": ["x"],
        "metadata": {"a": 1},
        "created_at": at,
        "updated_at": at,
        "last_message_at": at,
        "archived_at": None,
        "agent_id": None,
        "system_prompt": None,
        "mcp_enabled": False,
        "summary": None,
        "source": None,
        "total_tokens_used": 0,
        "total_messages": 2,
        "version": 3,
        "messages": messages,
        "completeness": "whole",
    }
    return {
        "chatvault": {"version": 1, "program": "chatvault 0.1.0", "exported_at": at},
        "conversations": [conversation],
        "end": {"conversations": 1, "messages": 2, "changed": 0, "cut": 0, "deleted": 0},
    }


FILES: dict[str, bytes] = {
    "ai-studio": as_json(ai_studio()),
    "chatbot-ui": as_json(chatbot_ui()),
    "chatgpt": as_json([chatgpt(), chatgpt(id="c-2", conversation_id="c-2", title=None)]),
    "chatvault": as_json(own_export()),
    "claude": as_json([claude(), claude(uuid="c-2", name="Again")]),
    "claude-code": lines(*claude_code()),
    "codex": lines(*codex()),
    "deepseek": as_json(deepseek()),
    "gemini": as_json(gemini()),
    "gemini-cli": as_json(gemini_cli()),
    "grok": as_json(grok()),
    "librechat": as_json(librechat()),
    "open-webui": as_json(open_webui()),
    "openai-messages": lines(*openai_messages()),
    "sharegpt": as_json(sharegpt()),
    "sillytavern": lines(*silly_tavern()),
}
