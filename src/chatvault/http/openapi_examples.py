"""Examples for the OpenAPI description, built from the schemas and one value for each field name.

A field name has the same meaning everywhere, so one value is enough; where it does not, the key
begins with the schema's name. A field may have `examples` of its own instead.
"""

from typing import Any

from chatvault.http.openapi_schemas import Schema, Schemas

ID = "65a5158ac8d8e8a8b8c8d8e8"
TIME = "2026-11-20T13:15:21.721Z"
QUESTION = "What time is it in Tokyo?"
# Used for a text whose name is missing below; a test fails on it.
NONE_YET = "…"
# Optional fields that an example has as well.
SHOWN = frozenset({
    "allowed_tools", "archived", "content", "language", "messages", "system_prompt", "tags",
    "return_to", "theme", "title",
})  # fmt: skip
VALUES: dict[str, Any] = {
    "next_cursor": "MjA",
    "q": "tokyo time",
    "user": "bob",
    "author_id": ID,
    "action": "conversation.create",
    "active_id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "active_leaf": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "active_reply_id": None,
    "address": "192.0.2.17",
    "answer_id": "reply-65a5158ac8d8e8a8b8c8d8e8",
    "allowed_tools": ["time__convert_time"],
    "archived_at": None,
    "arguments": '{"timezone": "Asia/Tokyo"}',
    "average_messages_per_conversation": 6.5,
    "call_id": "call-0",
    "code": None,
    "command": "ls -l",
    "content": QUESTION,
    "created_from": "192.0.2.17",
    "current_password": "correct-horse",
    "day": "2026-11-20",
    "decided_by": "person",
    "deleted_count": 3,
    "description": "Convert a time between two zones.",
    "detail": None,
    "details": {"messages": 2},
    "door": "http",
    "duration_ms": 4.2,
    "email": "alice@example.org",
    "failing": [],
    "failures": 0,
    "full_name": "Alice Example",
    "gpu_backend": None,
    "gpu_name": None,
    "input_schema": {"type": "object", "properties": {"timezone": {"type": "string"}}},
    "location": "https://id.example.org/authorize?client_id=chatvault&state=af0ifjsldkj",
    "identity_provider": "Example Corp",
    "return_to": "/library",
    "key": "conversation.create",
    "parent_id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "HeldMessageOut.message": {"id": "1579973f-78f4-431a-8f88-ad2f3a472c2e", "content": QUESTION},
    "SiblingOut.id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "language": "en",
    "last_login": TIME,
    "left_out": [],
    "left_out_count": 0,
    "max_conversation_tokens": 8000,
    "media_type": "application/json",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "message": "Done",
    "attachment_id": "0d3b8a7e-4c55-4f0e-9d0f-3a1f6f0f5b11",
    "message_id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "message_ids": ["1579973f-78f4-431a-8f88-ad2f3a472c2e"],
    "model": "llama3.2",
    "name": "Clock",
    "new_password": "battery-staple",
    "ollama_model": None,
    "password": "correct-horse",
    "link_pass": "1795348802.9f86d081884c7d659a2feaa0c55ad015",
    "path": "/s/3b6uGb0lD5XfO3Yk1xVw5yHc7v4l8mKq0sJt2nRzPaE",
    "token": "3b6uGb0lD5XfO3Yk1xVw5yHc7v4l8mKq0sJt2nRzPaE",
    "prefix": "cv_4fGh7Kq2W",
    "NewApiKeyOut.key": "cv_4fGh7Kq2Wm9ZpX1cVbN8sLrT6yUiOaE3dQkJ5hGfR0tYw2QvB1xnJ",
    "program": "chatvault 0.1.0",
    "provider": "local",
    "reason": None,
    "request_id": "01b2552bad314df8828e7a1304042b42",
    "resource_id": ID,
    "resource_type": "conversation",
    "result": '{"timezone": "Asia/Tokyo", "datetime": "2026-11-20T22:15:21+09:00"}',
    "role": "user",
    "seq": 0,
    "server": "time",
    "state": "completed",
    "subject": "user",
    "summary": "Alice asked what time it is in Tokyo, and was told.",
    "system_prompt": "You are a helpful assistant.",
    "tags": ["travel"],
    "temperature": 0.7,
    "timestamp": TIME,
    "text": "Tokyo",
    "title": "The time in Tokyo",
    "tokens_per_day": [{"day": "2026-11-20", "tokens": 1250, "requests": 5}],
    "tool": "time__convert_time",
    "tool_hash": "3f1d0a5c9b7e2f4861c0d9a8b7e6f5041322b0c9d8e7f6a5b4c3d2e1f0a9b8c7",
    "tools": [],
    "transport": "stdio",
    "user_agent": "Mozilla/5.0",
    "username": "alice",
    "version": 1,
    "AgentOut.name": "Clock",
    "QuotaOut.user_id": None,
    "QuotaOut.key_id": None,
    "QuotaOut.tokens_per_day": 1_000_000,
    "ListedQuotaOut.tokens_per_day": 1_000_000,
    "BatchOut.failures": [],
    "TemplateOut.initial_message": None,
    "TemplateOut.variables": ["language"],
    "CompletionIn.messages": [{"role": "user", "content": QUESTION}],
    "ContextOut.messages": [{"role": "user", "content": QUESTION}],
    "ContextOut.left_out": 0,
    "ImportOut.formats": {"chatgpt": 1},
    "ImportOut.left_out": {"contents of files that are too large": 1},
    "ImportOut.unknown": {},
    "ImportedOut.format": "chatgpt",
    "ImportJobOut.code": None,
    "ImportJobOut.detail": None,
    "ImportJobOut.names": ["chatgpt-export.zip"],
    "ImportJobOut.state": "completed",
    "ImportOptions.format": None,
    "ImportReport.formats": {"chatgpt": {"found": 2, "imported": 2}},
    "ImportReport.left_out": {"contents of files that are too large": 1},
    "ImportReport.unknown": {},
    "ImportReport.repaired": [],
    "UploadOut.name": "chatgpt-export.zip",
    "ImportedOut.left_out": {"contents of files that are too large": 1},
    "HealthOut.status": "healthy",
    "HealthOut.timestamp": 1795180521.721,
    "HealthOut.version": "0.2.0",
    "UiConfig.version": "0.2.0",
    "VerificationOut.finding": None,
    "VerificationOut.state": "verified",
    "RejectedOut.place": 'conversation 3 (id "1700000000000")',
    "RejectedOut.reason": "identical to conversation 1",
    "ImportedOut.repaired": ["'isLoading' was left on"],
    "LeftOutTool.reason": "has a schema of more than 64 KB",
    "ExportOut.conversations": [],
    "MessageEdit.version": 1,
    "ShareGPTOut.completeness": None,
    "ShareGPTOut.conversations": [{"from": "human", "value": QUESTION}],
    "HeadingOut.id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "HeadingOut.words": QUESTION,
    "TagsOut.tags": [{"tag": "travel", "conversations": 3}],
    "TagRename.tag": "travel",
    "TagRename.to": "journeys",
    "TagMerge.tags": ["trips"],
    "TagMerge.into": "travel",
    "TagOut.tag": "travel",
    "CategoryOut.parent_id": None,
    "CategoryCreate.parent_id": None,
    "CategoryPatch.parent_id": None,
    "CategoryOut.name": "Travel",
    "CategoryCreate.name": "Travel",
    "CategoryPatch.name": "Travel",
    "MessageOut.id": "1579973f-78f4-431a-8f88-ad2f3a472c2e",
    "Problem.code": "not_found",
    "Problem.detail": "Conversation not found",
    "Problem.errors": None,
    "Problem.status": 404,
    "Problem.title": "Not Found",
    "Problem.type": "about:blank",
    "ProviderOut.name": "local",
    "AttachmentOut.id": "0d3b8a7e-4c55-4f0e-9d0f-3a1f6f0f5b11",
    "AttachmentOut.mime": "image/png",
    "AttachmentOut.name": "map.png",
    "AttachmentOut.size": 5124,
    "AttachmentOut.source_ref": None,
    "ReadyOut.status": "ready",
    "ReplyOut.assistant_message": {
        "id": "reply-65a5158ac8d8e8a8b8c8d8e8",
        "seq": 1,
        "role": "assistant",
        "content": "Quarter past ten in the evening.",
        "timestamp": TIME,
    },
    "ServerOut.name": "time",
    "ServerOut.state": "connected",
    "ServerOut.tools": 2,
    "ToolOut.name": "time__convert_time",
    "UserOut.role": "user",
}  # fmt: skip
# Media types that are not JSON, and values that no model describes.
COMPLETION = {
    "id": "chatcmpl-7f3b", "object": "chat.completion", "created": 1795180521, "model": "llama3.2",
    "choices": [{
        "index": 0,
        "message": {"role": "assistant", "content": "Quarter past ten in the evening."},
        "finish_reason": "stop",
    }],
    "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
}  # fmt: skip
BY_OPERATION: dict[str, Any] = {
    "get_root": {
        "name": "chatvault",
        "version": "0.1.0",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": "/health",
        "ready": "/ready",
    },
    "complete_chat": COMPLETION,
    "complete_chat_v1": COMPLETION,
    "get_document": {"openapi": "3.1.0", "info": {"title": "chatvault"}, "paths": {}},
}
# Bodies that no model describes.
BODY_OF: dict[str, Any] = {
    "import_conversations": {
        "ai-chat-conversations": [
            {
                "id": "1700000000000",
                "title": "The time in Tokyo",
                "messages": [{"id": "1", "role": "user", "content": QUESTION, "timestamp": TIME}],
                "createdAt": TIME,
            }
        ],
    },
}
BY_MEDIA = {
    "application/octet-stream": "bytes",
    "application/jsonl": '{"messages": [{"role": "user", "content": "What time is it?"}]}\n',
    "application/x-ndjson": '{"id": "65a5158ac8d8e8a8b8c8d8e8"}\n',
    "application/gzip": "\x1f\x8b",
    "application/pdf": "%PDF-1.7",
    "application/zip": "PK",
    "text/markdown": "---\ntitle: The time in Tokyo\n---\n\n# The time in Tokyo\n",
    "text/csv": "id,at,action\n65a5158ac8d8e8a8b8c8d8e8,2026-11-20T13:15:21.721Z,session.login\n",
    "text/event-stream": 'id: 2\nevent: delta\ndata: {"text": "Quarter past"}\n\n',
    "text/html": "<!doctype html>",
    "text/plain": 'chatvault_worker_up{worker="0"} 1\n',
}


class Examples:
    """Makes examples.

    Args:
        schemas: the schemas that references name.
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def of(self, schema: Schema, *, is_input: bool = False, name: str = "") -> Any:
        """Return a value that the schema describes.

        Args:
            schema: the schema, or a reference to one.
            is_input: whether a client sends it, and so leaves out fields with a default.
            name: of the field that the value is for, with its schema's name before it.
        """
        schema = self._schemas.resolve(schema)
        if "examples" in schema:
            return schema["examples"][0]
        if "properties" not in schema:
            return self._leaf(schema, is_input=is_input, name=name)
        required, title = schema.get("required", ()), schema.get("title", "")
        return {
            field: self.of(part, is_input=is_input, name=f"{title}.{field}")
            for field, part in schema["properties"].items()
            if field in required or field in SHOWN or (not is_input and "default" in part)
        }

    def _leaf(self, schema: Schema, *, is_input: bool, name: str) -> Any:
        kinds = schema.get("anyOf", [schema])
        is_nullable = any(each.get("type") == "null" for each in kinds)
        for key in (name, name.rpartition(".")[2]):
            if key in VALUES and (VALUES[key] is not None or is_nullable):
                value = VALUES[key]
                if "enum" not in kinds[0] or value in kinds[0]["enum"]:
                    return value
        [kind, *_] = [each for each in kinds if each.get("type") != "null"]
        if kind is not schema:
            return self.of(kind, is_input=is_input, name=name)
        return self._plain(schema, is_input=is_input, name=name)

    def _plain(self, schema: Schema, *, is_input: bool, name: str) -> Any:
        value: Any = NONE_YET
        match schema:
            case {"enum": [first, *_]} | {"const": first} | {"default": first}:
                value = first
            case {"type": "string", "format": "date-time"}:
                value = TIME
            case {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}:
                value = ID
            case {"type": "array", "items": items}:
                value = [self.of(items, is_input=is_input, name=name)]
            case {"type": "integer" | "number"}:
                value = max(2, schema.get("minimum", 0))
            case {"type": "boolean"}:
                value = False
            case {"type": "object"}:
                value = {}
        return value
