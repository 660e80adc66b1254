"""Checkpoints and proofs that can be kept elsewhere and checked without the database."""

import base64
from typing import Annotated, Self

import bson
from bson import ObjectId
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

from chatvault.audit.keys import KeyRing
from chatvault.audit.models import AuditEntry
from chatvault.errors import NotFound
from chatvault.fields import Id, Instant
from chatvault.sealing.blocks import Block, Header, split_hashes
from chatvault.sealing.merkle import hash_leaf, path_of, root_by_path
from chatvault.sealing.verify import NotVerified


def _from_base64(text: object) -> bytes:
    return text if isinstance(text, bytes) else base64.b64decode(str(text), validate=True)


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


Base64 = Annotated[
    bytes,
    PlainValidator(_from_base64),
    PlainSerializer(_to_base64, when_used="json"),
]


class Checkpoint(BaseModel):
    """A signed header; kept outside the reach of the database's owner, it pins the log up to it.

    Attributes:
        height: the block's height, for people; `header` is authoritative.
        header: the canonical BSON that was signed.
        public_key: the Ed25519 key that checks the signature.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    height: int
    sealed_at: Instant
    header: Base64
    signature: Base64
    public_key: Base64

    @classmethod
    def of(cls, header: Header, public_key: bytes) -> Self:
        """Return the checkpoint of a header."""
        return cls(
            height=header.height,
            sealed_at=header.sealed_at,
            header=header.signed,
            signature=header.signature,
            public_key=public_key,
        )

    def open(self) -> Header:
        """Return the header after checking its signature by the public key beside it.

        Raises:
            NotVerified: it was not signed by that key, or contradicts the checkpoint's other
                fields.
        """
        try:
            header = Header.parse(self.header, self.signature)
        except ValueError:
            raise NotVerified("the checkpoint holds no header") from None
        if not header.is_signed_by(self.public_key):
            raise NotVerified("the checkpoint's signature is wrong")
        if (header.height, header.sealed_at) != (self.height, self.sealed_at):
            raise NotVerified("the checkpoint shows something else than it signs")
        return header


class Proof(BaseModel):
    """A proof that an entry is in the block of a signed header.

    Attributes:
        leaf: SHA-256(0x00 ‖ the entry's stored BSON).
        index: its place in the block.
        path: the sibling hashes on its path to the root.
        block: the signed header.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    entry_id: Id
    leaf: Base64
    index: int
    path: list[Base64]
    block: Checkpoint


def check_proof(
    proof: Proof, *, pinned: Checkpoint | None = None, entry: bytes | None = None
) -> Header:
    """Check a proof, and return its header.

    Args:
        proof: to be checked.
        pinned: a checkpoint from elsewhere: the same key must have signed; if it is of the same
            block, it must be the same.
        entry: the entry's stored BSON, which the proof must be about.

    Raises:
        NotVerified: the proof does not hold; one sentence says why.
    """
    header = proof.block.open()
    if entry is not None:
        if hash_leaf(entry) != proof.leaf:
            raise NotVerified("the entry is not the one that is proved")
        if bson.decode(entry).get("_id") != proof.entry_id:
            raise NotVerified("the proof names another entry")
    if root_by_path(proof.leaf, proof.index, header.count, proof.path) != header.root:
        raise NotVerified("the path does not lead to the signed root")
    if pinned is not None:
        kept = pinned.open()
        if pinned.public_key != proof.block.public_key:
            raise NotVerified("the proof is signed by another key than the checkpoint")
        if kept.height == header.height and kept.signed != header.signed:
            raise NotVerified("the checkpoint is of another block of this height")
    return header


async def find_checkpoint() -> Checkpoint:
    """Return the newest signed header.

    Raises:
        NotFound: nothing is sealed yet.
        NotVerified: our keys did not sign it.
    """
    header = await Block.find_header()
    if header is None:
        raise NotFound("Nothing is sealed yet; a running service seals within seconds.")
    return Checkpoint.of(header, _public(AuditEntry.keys(), header))


async def make_proof(entry_id: ObjectId) -> tuple[Proof, bytes]:
    """Return the proof of one entry, and the entry's stored BSON.

    Raises:
        NotFound: there is no such entry, or it is not sealed yet.
        NotVerified: the stored data is inconsistent.
    """
    entries = AuditEntry.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)
    stored = await entries.find_one({"_id": entry_id})
    if stored is None:
        raise NotFound(f"There is no entry {entry_id}.")
    block = await Block.get_pymongo_collection().find_one({"entry_ids": entry_id})
    if block is None:
        raise NotFound(f"Entry {entry_id} is not sealed yet; try again in some seconds.")
    header = await Block.find_header(block["_id"])
    if header is None:
        raise NotVerified(f"the header of block {block['_id']} is gone")
    leaves, raw = split_hashes(block["leaf_hashes"]), bytes(stored.raw)
    index = block["entry_ids"].index(entry_id)
    proof = Proof(
        entry_id=entry_id,
        leaf=leaves[index],
        index=index,
        path=path_of(leaves, index),
        block=Checkpoint.of(header, _public(AuditEntry.keys(), header)),
    )
    check_proof(proof, entry=raw)
    return proof, raw


def check_pin(pinned: Checkpoint) -> Header:
    """Return the header of a checkpoint that one of our keys signed.

    Raises:
        NotVerified: none did.
    """
    header = pinned.open()
    if _public(AuditEntry.keys(), header) != pinned.public_key:
        raise NotVerified("the checkpoint is signed by a key that is none of ours")
    return header


def _public(keys: KeyRing, header: Header) -> bytes:
    key = keys.find(header.key_id)
    if key is None:
        raise NotVerified(
            f"block {header.height} is signed by the unknown key {header.key_id}",
            block=header.height,
        )
    return key.public
