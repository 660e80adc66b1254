"""Data that version 0.1.0 stored."""

import gzip
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

DATA = Path(__file__).parent.parent / "data"


def put_into(database: Database[dict[str, Any]], data_dir: Path) -> None:
    """Put the documents into MongoDB, and the keys into a data directory."""
    parts = bson.decode_all(gzip.decompress((DATA / "0.1.0.bson.gz").read_bytes()))
    for part in parts:
        if part["collection"] == "files":
            for name, text in bson.decode(part["document"]).items():
                (data_dir / name).write_text(text)
                (data_dir / name).chmod(0o600)
        else:
            collection: Any = database[part["collection"]]
            collection.insert_one(RawBSONDocument(part["document"]))
