"""Each field that is declared as words is sealed; the page says so."""

import re
import secrets
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId

from chatvault.conversations.codec import SegmentKey
from chatvault.conversations.sealed import EMBEDDED_PLAIN, SLOT, SealedCodec
from chatvault.documents import HOLDS
from support.codecs import sealing

PAGE = (Path(__file__).parent.parent.parent / "docs" / "privacy.md").read_text()
WORDS = {name: set(holds.words) for name, holds in HOLDS.items() if holds.words}
NAMES = re.compile(r"`([\w.]+)`")


def test_the_page_lists_every_field_that_is_sealed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.MULTILINE)

    assert {name: set(NAMES.findall(fields)) for name, fields in rows} == WORDS


def test_the_page_lists_what_stays_readable_of_a_message() -> None:
    found = re.search(
        r"^- of an embedded message: (.+); of one in a segment: (.+)$", PAGE, re.MULTILINE
    )

    assert found is not None
    assert [set(NAMES.findall(each)) for each in found.groups()] == [set(EMBEDDED_PLAIN), SLOT]


def of(collection: str, within: str = "") -> dict[str, Any]:
    """Return a value for each declared field at a path."""
    names = [path.removeprefix(within) for path in WORDS[collection] if path.startswith(within)]
    return {name: secrets.token_hex(8) for name in names if "." not in name}


@pytest.mark.usefixtures("http")
class TestTheCodec:
    """Those of other collections are sealed as they are declared: see test_collections.py."""

    @pytest.fixture
    async def user_id(self) -> ObjectId:
        return ObjectId()

    @pytest.fixture
    async def codec(self, user_id: ObjectId) -> SealedCodec:
        codec = sealing()
        await codec.fetch([user_id], to_write=True)
        return codec

    async def test_seals_what_conversations_declare(
        self, codec: SealedCodec, user_id: ObjectId
    ) -> None:
        fields, message = of("conversations"), of("conversations", "messages.")
        head: Any = {"_id": ObjectId(), "user_id": user_id, "generation": ObjectId()}
        given: Any = {"id": "m", **message}
        whole = {**fields, "metadata": {"it": fields["metadata"]}}
        stored = [codec.encode_fields(head, whole), *codec.encode_tail(head, [given])]
        self.check(stored, fields | message)

    async def test_seals_what_segments_declare(self, codec: SealedCodec, user_id: ObjectId) -> None:
        message = of("segments", "messages.")
        given: Any = {"id": "m", **message}
        key = SegmentKey(user_id, ObjectId(), ObjectId())
        self.check([codec.encode_segment(key, [given])._asdict()], message)

    async def test_seals_what_revisions_declare(
        self, codec: SealedCodec, user_id: ObjectId
    ) -> None:
        message = of("revisions", "message.")
        names = {"user_id": user_id, "conversation_id": ObjectId(), "message_id": "m"}
        revision = {**names, "seq": 1, "version": 1, "message": {"id": "m", **message}}
        self.check([codec.encode_revision(revision)], message)

    @staticmethod
    def check(stored: list[Any], words: dict[str, Any]) -> None:
        assert words
        seen = b"".join(map(bson.encode, stored))
        assert [name for name, word in words.items() if word.encode() in seen] == []
