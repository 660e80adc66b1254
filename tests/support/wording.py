"""Words that are nowhere else, and where in MongoDB and in files they are looked for."""

import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from chatvault.documents import HOLDS
from chatvault.mongodb.keeper import MONGOD_LOG

Raw = dict[str, Any]


class Words:
    """Words that are nowhere else, with a beginning by which they are found quickly."""

    def __init__(self) -> None:
        self.all: set[bytes] = set()
        self._first = secrets.token_hex(6)

    def __call__(self) -> str:
        word = self._first + secrets.token_hex(6)
        self.all.add(word.encode())
        return word

    def in_bytes(self, data: bytes) -> set[bytes]:
        """Return those that are in the data."""
        return self.all & set(re.findall(self._first.encode() + b"[0-9a-f]{12}", data))


def everything(client: MongoClient[Any], name: str, since: Any) -> Iterator[tuple[str, bytes]]:
    """Yield each document of the database, of the oplog since a time, and each file of MongoDB."""
    raw = bson.CodecOptions(document_class=RawBSONDocument)
    for collection in client[name].list_collection_names():
        for document in client[name].get_collection(collection, codec_options=raw).find():
            yield collection, document.raw
    oplog = client["local"].get_collection("oplog.rs", codec_options=raw)
    for operation in oplog.find({"ts": {"$gte": since}, "ns": {"$regex": f"^{name}|^admin"}}):
        yield "oplog", operation.raw
    client.admin.command("fsync")
    options = client.admin.command("getCmdLineOpts")["parsed"]
    for file in Path(options["storage"]["dbPath"]).rglob("*"):
        if file.is_file():
            yield "file", file.read_bytes()


def files_of(client: MongoClient[Any], data_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield mongod's log, and the service's files, except those of open search indexes."""
    options = client.admin.command("getCmdLineOpts")["parsed"]
    [log] = Path(options["storage"]["dbPath"]).parent.rglob(MONGOD_LOG)
    yield "mongod's log", log.read_bytes()
    for file in data_dir.rglob("*"):
        if file.is_file() and "search" not in file.relative_to(data_dir).parts:
            yield str(file.relative_to(data_dir)), file.read_bytes()


def filled(client: MongoClient[Any], name: str, since: Any) -> dict[str, set[str]]:
    """Return the fields declared as words that somewhere have a value; by collection.

    Also of documents that are gone again, as the log of changes has them.
    """
    found: dict[str, set[str]] = {}
    for collection, document in _documents(client, name, since):
        holds = HOLDS.get(collection)
        for path in holds.words if holds is not None else ():
            if any(_at(document, path.split("."))):
                found.setdefault(collection, set()).add(path)
    return found


def _documents(client: MongoClient[Any], name: str, since: Any) -> Iterator[tuple[str, Raw]]:
    for collection in client[name].list_collection_names():
        for document in client[name][collection].find():
            yield collection, document
    for operation in client["local"]["oplog.rs"].find({"ts": {"$gte": since}}):
        for each in operation["o"].get("applyOps", [operation]):
            if each["op"] == "i" and each["ns"].startswith(f"{name}."):
                yield each["ns"].partition(".")[2], each["o"]


def _at(value: Any, names: list[str]) -> Iterator[Any]:
    """Yield the values at a path, in all elements of lists on the way."""
    if not names:
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _at(each, names)
    elif isinstance(value, Mapping) and names[0] in value:
        yield from _at(value[names[0]], names[1:])
