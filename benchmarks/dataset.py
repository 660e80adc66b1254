"""The measured data: users with conversations, made over HTTP and copied for the yardsticks."""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import orjson
from bson import ObjectId
from pymongo import MongoClient

import operations
from load import UNIQUE
from processes import Server

PASSWORD = "benchmark password"  # noqa: S105  # of users that live for one run
WORDS = ("the", "model", "answers", "a", "question", "about", "memory", "and", "speed", "of", "it")
CONTENT_BYTES = 500
CREATE_AT_ONCE = 16
BATCH = 500
READERS = 32
WHOLE = 8  # conversations of 200 messages that a reader has
SHORT = 52  # and of 10
COLD = 24  # of 200 again, of all readers together more than a process keeps in memory
FIRST_MESSAGES = 10_000  # of a long conversation, in the request that begins it
TIMES = {"timestamp", "created_at", "updated_at", "last_message_at"}


def text(seed: int) -> str:
    """Some words, about 500 bytes."""
    words = random.Random(seed)  # noqa: S311  # the same words each time
    return " ".join(words.choices(WORDS, k=CONTENT_BYTES // 4))[:CONTENT_BYTES]


def message(seed: int) -> dict[str, Any]:
    """Return a message as a client sends it."""
    return {"role": "assistant" if seed % 2 else "user", "content": text(seed)}


@dataclass
class Account:
    """A user that is signed in, and their conversations."""

    user_id: str
    cookie: str
    ids: list[str]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> str:
        """Return a ready-made request of this user."""
        data = b"" if body is None else orjson.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {self.cookie}"]
        lines += ["User-Agent: benchmark", *(f"{name}: {headers[name]}" for name in headers)]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        return "\r\n".join(lines) + "\r\n\r\n" + data.decode("latin-1")

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Owner and id of each conversation."""
        return [(self.user_id, each) for each in self.ids]

    def appends(self, ids: list[str] | None = None) -> list[str]:
        """Return an append for each conversation, with a message id of its own."""
        body = {"id": f"00000000-0000-4000-8000{UNIQUE.decode()}", **message(0)}
        return [
            self.request("POST", f"/conversations/{each}/messages", body, Prefer="return=minimal")
            for each in ids or self.ids
        ]

    def post_bare(self, path: str) -> str:
        """Return an append for the ceiling, of the same size."""
        body = {"id": f"00000000-0000-4000-8000{UNIQUE.decode()}", **message(0)}
        return self.request("POST", path, body, Prefer="return=minimal")

    def puts(self, ids: list[str]) -> list[str]:
        """Return a change of metadata for each conversation."""
        body = {"metadata": {"changed": UNIQUE.decode(), "pinned": True}}
        return [self.request("PUT", f"/conversations/{each}", body) for each in ids]


async def sign_up(service: Server, name: str) -> Account:
    """Return a new user, signed in."""
    credentials = {"username": name, "password": PASSWORD}
    async with aiohttp.ClientSession(f"http://{service.host}:{service.port}") as http:
        account = {**credentials, "email": f"{name}@example.org"}
        async with http.post("/auth/register", json=account) as answer:
            assert answer.ok, await answer.text()
        async with http.post("/auth/login", json=credentials) as answer:
            assert answer.ok, await answer.text()
            user = (await answer.json())["user"]
            cookie = answer.cookies["session_id"]
    return Account(user["id"], f"session_id={cookie.value}", [])


async def begin(service: Server, account: Account, count: int, messages: int) -> list[str]:
    """Create conversations of a length; return their ids."""
    slots = asyncio.Semaphore(CREATE_AT_ONCE if messages < 1000 else 1)
    first = [message(seed) for seed in range(min(messages, FIRST_MESSAGES))]
    body = orjson.dumps({"title": "A benchmark", "messages": first})
    headers = {"Cookie": account.cookie, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        f"http://{service.host}:{service.port}",
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:

        async def create() -> str:
            async with slots, http.post("/conversations", data=body) as answer:
                assert answer.status == 201, await answer.text()
                return str(orjson.loads(await answer.read())["id"])

        made = list(await asyncio.gather(*(create() for _ in range(count))))
    account.ids += made
    return made


async def lengthen(service: Server, account: Account, each: str, length: int) -> None:
    """Append batches until a conversation has its length."""
    url = f"http://{service.host}:{service.port}/conversations/{each}/messages:batch"
    headers = {"Cookie": account.cookie, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for start in range(FIRST_MESSAGES, length, BATCH):
            batch = [message(seed) for seed in range(start, min(length, start + BATCH))]
            async with http.post(url, data=orjson.dumps({"messages": batch})) as answer:
                assert answer.ok, await answer.text()


class Yardsticks:
    """The same conversations in a collection of the yardsticks' own, each as one document.

    Args:
        url: MongoDB's.
        database: the service's.
    """

    def __init__(self, url: str, database: str) -> None:
        self.url = url
        self.database = database
        self._client: MongoClient[dict[str, Any]] = MongoClient(url)
        self._collection = self._client[database][operations.COLLECTION]
        for index in self._client[database]["conversations"].index_information().values():
            if len(index["key"]) > 1:
                self._collection.create_index(index["key"])

    def version(self) -> str:
        """MongoDB's."""
        return str(self._client.server_info()["version"])

    def copy(self, service: Server, account: Account, ids: list[str]) -> None:
        """Copy conversations as the service shows them, under the same ids."""
        for each in ids:
            self._collection.insert_one(self._read(service, account, each))

    def imitate(self, service: Server, account: Account, count: int) -> Account:
        """Store many conversations of a new owner, each like the account's first one."""
        owner = ObjectId()
        model = self._read(service, account, account.ids[0])
        documents = [{**model, "_id": ObjectId(), "user_id": owner} for _ in range(count)]
        self._collection.insert_many(documents)
        return Account(str(owner), "", [str(document["_id"]) for document in documents])

    @staticmethod
    def _read(service: Server, account: Account, each: str) -> dict[str, Any]:
        shown = orjson.loads(service.fetch(f"/conversations/{each}", {"Cookie": account.cookie}))
        stored = {"_id": ObjectId(shown.pop("id")), **shown}
        stored["user_id"] = ObjectId(shown["user_id"])
        for part in (stored, *stored["messages"]):
            part.update(
                {name: datetime.fromisoformat(part[name]) for name in TIMES if part.get(name)}
            )
        return stored
