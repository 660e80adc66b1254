"""Trees out of what files say: every message once, after its parent, on no circle."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvault.importing.neutral import NeutralMessage
from chatvault.importing.trees import build_tree, chain

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def message(name: str, parent: str | None = None, at: int | None = None) -> NeutralMessage:
    time = None if at is None else BEGAN + timedelta(seconds=at)
    return NeutralMessage(
        source_id=name, parent_id=parent, role="user", content=name, timestamp=time
    )


NAMES = st.sampled_from("abcdefgh")


@given(
    st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | st.integers(0, 9))),
    st.none() | NAMES,
    st.dictionaries(NAMES, st.none() | NAMES),
)
def test_holds_every_message_once_after_its_parent(
    found: list[tuple[str, str | None, int | None]],
    leaf: str | None,
    links: dict[str, str | None],
) -> None:
    tree = build_tree([message(*each) for each in found], leaf=leaf, links=links)

    names = [each.source_id for each in tree.messages]
    assert sorted(map(str, names)) == sorted({name for name, _, _ in found})
    seen: set[str | None] = {None}
    for each in tree.messages:
        assert each.parent_id in seen
        seen.add(each.source_id)
    assert (tree.active_leaf in names) == bool(found)


def test_sorts_siblings_by_time() -> None:
    tree = build_tree(
        [
            message("late", "r", 9),
            message("r", None, 1),
            message("early", "r", 2),
            message("x", "r"),
        ]
    )
    assert [each.source_id for each in tree.messages] == ["r", "early", "x", "late"]


def test_keeps_the_last_of_messages_with_one_id() -> None:
    tree = build_tree([message("a", None, 1), message("b", "a"), message("a", None, 5)])
    assert tree.messages[0].timestamp == BEGAN + timedelta(seconds=5)
    assert tree.repairs == {"was there twice; the last one is used": 1}


@pytest.mark.parametrize("leaf", ["nowhere", "empty", None])
def test_shows_the_newest_leaf_by_default(leaf: str | None) -> None:
    found = [message("a", "empty", 1), message("new", "a", 8), message("old", "a", 7)]
    tree = build_tree(found, leaf=leaf, links={"empty": None})
    assert tree.active_leaf == "new"
    assert tree.is_leaf_missing == (leaf is not None)


def test_shows_a_named_message_that_is_no_leaf() -> None:
    assert build_tree([message("a"), message("b", "a")], leaf="a").active_leaf == "a"


def test_skips_nodes_that_are_no_messages() -> None:
    links = {"one": "two", "two": "a", "loop": "loop"}
    tree = build_tree([message("a"), message("b", "one"), message("c", "loop")], links=links)
    assert {each.source_id: each.parent_id for each in tree.messages} == {
        "a": None,
        "b": "a",
        "c": None,
    }


def test_breaks_cycles() -> None:
    tree = build_tree([message("a", "b"), message("b", "c"), message("c", "b"), message("d", "d")])
    assert sum(tree.repairs.values()) == 2
    assert sum(each.parent_id is None for each in tree.messages) == 2


def test_works_for_long_conversations() -> None:
    count = 20_000
    found = [message("m0"), *(message(f"m{n}", f"m{n - 1}") for n in range(1, count))]
    tree = build_tree(reversed(found))
    assert [each.source_id for each in tree.messages] == [f"m{n}" for n in range(count)]


def test_chain_links_consecutive_messages() -> None:
    assert [each.parent_id for each in chain([message("a"), message("b")])] == [None, "a"]


def test_requires_ids() -> None:
    nameless = message("a")
    nameless.source_id = None
    with pytest.raises(ValueError, match="no id"):
        build_tree([nameless])
