"""The hash tree of RFC 6962 over a block's leaves, and proofs that a leaf is in it."""

import hashlib
from collections.abc import Sequence

LEAF = b"\x00"
NODE = b"\x01"


def hash_leaf(content: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ content); the prefix keeps content from passing for an inner node."""
    return hashlib.sha256(LEAF + content).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, at least one, in this order."""
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def path_of(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the sibling hashes on the path from a leaf to the root, from below."""
    path = []
    level = list(leaves)
    while len(level) > 1:
        if (beside := index ^ 1) < len(level):
            path.append(level[beside])
        level = _parents(level)
        index //= 2
    return path


def root_by_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root computed from a leaf, its place in a tree of `count` leaves, and its path.

    Returns:
        None if the path does not have the length that the place requires.
    """
    if not 0 <= index < count:
        return None
    node, last, unused = leaf, count - 1, list(path)
    while last:
        if index ^ 1 <= last:
            if not unused:
                return None
            beside = unused.pop(0)
            node = _join(beside, node) if index % 2 else _join(node, beside)
        index, last = index // 2, last // 2
    return None if unused else node


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def _parents(level: list[bytes]) -> list[bytes]:
    # A node without a sibling moves up unchanged: so the tree of RFC 6962 grows from below.
    joined = [_join(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return joined + level[-1:] if len(level) % 2 else joined
