"""The tree against RFC 6962's own recursive words, and proofs against every change."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.sealing.merkle import hash_leaf, path_of, root_by_path, root_of

LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


def by_the_book(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, on leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    pair = by_the_book(leaves[:split]) + by_the_book(leaves[split:])
    return hashlib.sha256(b"\x01" + pair).digest()


def test_knows_the_published_vectors() -> None:
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
              "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
    leaves = [hash_leaf(bytes.fromhex(text)) for text in inputs]

    assert leaves[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert (
        root_of(leaves[:3]).hex()
        == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    )
    assert (
        root_of(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


@given(LEAVES)
def test_root_equals_the_textbook_algorithm(leaves: list[bytes]) -> None:
    assert root_of(leaves) == by_the_book(leaves)


@given(LEAVES, st.data())
def test_path_of_every_leaf_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))

    path = path_of(leaves, index)

    assert root_by_path(leaves[index], index, len(leaves), path) == root_of(leaves)


@given(LEAVES, st.data())
def test_no_other_leaf_place_or_path_leads_to_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    leaves = list(dict.fromkeys(leaves))
    index = data.draw(st.integers(0, len(leaves) - 1))
    count, path, root = len(leaves), path_of(leaves, index), root_of(leaves)

    def leads(leaf: bytes, index: int, count: int, path: list[bytes]) -> bool:
        return root_by_path(leaf, index, count, path) == root

    assert not leads(hash_leaf(leaves[index]), index, count, path)
    for other in range(-1, count + 1):
        assert leads(leaves[index], other, count, path) == (other == index)
    assert not leads(leaves[index], index, count, [*path, leaves[0]])
    if path:
        assert not leads(leaves[index], index, count, path[:-1])
        place = data.draw(st.integers(0, len(path) - 1))
        path[place] = hash_leaf(path[place])
        assert not leads(leaves[index], index, count, path)


@pytest.mark.parametrize("index", [-1, 1])
def test_place_outside_the_tree_leads_to_no_root(index: int) -> None:
    leaf = hash_leaf(b"")
    assert root_by_path(leaf, index, 1, []) is None
