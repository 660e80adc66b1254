"""Trees of messages by place: paths, forks and leaves against a plain walk."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatvault.conversations.tree import ROOT, Link, Run, Tree, fork_of, links_of, links_within


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[int], set[int]]:
    """The parent of each place, and the deleted places."""
    length = draw(st.integers(1, 40))
    parents = [
        draw(st.one_of(st.just(place - 1), st.integers(ROOT, place - 1))) for place in range(length)
    ]
    return parents, draw(st.sets(st.integers(0, length - 1)))


def links_from(parents: list[int]) -> list[Link]:
    return [Link(place, up) for place, up in enumerate(parents) if up != place - 1]


def walk(parents: list[int], leaf: int) -> list[int]:
    path = []
    while leaf != ROOT:
        path.append(leaf)
        leaf = parents[leaf]
    return path[::-1]


def places(runs: list[Run]) -> list[int]:
    return [place for run in runs for place in range(run.first, run.last + 1)]


class TestTree:
    @given(trees(), st.data())
    def test_path_equals_the_walk_to_the_root(
        self, tree: tuple[list[int], set[int]], data: st.DataObject
    ) -> None:
        parents, deleted = tree
        leaf = data.draw(st.integers(0, len(parents) - 1))
        runs = Tree(len(parents), links_from(parents), deleted).path_to(leaf)
        assert places(runs) == walk(parents, leaf)
        for run in runs:
            assert run.living == len(set(range(run.first, run.last + 1)) - deleted)
        for before, after in pairwise(runs):
            assert before.last + 1 < after.first

    @given(trees())
    def test_grown_one_by_one_is_the_same(self, tree: tuple[list[int], set[int]]) -> None:
        parents, deleted = tree
        grown = Tree(0)
        for place, up in enumerate(parents):
            grown.add(1, [Link(place, up)] if up != place - 1 else [])
        for place in sorted(deleted, reverse=True):
            grown.delete(place)
            grown.delete(place)
        whole = Tree(len(parents), links_from(parents), deleted)
        assert grown.living == whole.living == len(parents) - len(deleted)
        assert grown.children() == whole.children()
        leaf = len(parents) - 1
        assert grown.path_to(leaf) == whole.path_to(leaf)

    @given(trees(), st.data())
    def test_children_are_those_with_this_parent(
        self, tree: tuple[list[int], set[int]], data: st.DataObject
    ) -> None:
        parents, deleted = tree
        children = Tree(len(parents), links_from(parents), deleted).children()
        for parent in range(ROOT, len(parents)):
            expected = [place for place, up in enumerate(parents) if up == parent]
            assert children.get(parent, expected) == expected
            assert parent in children or len(expected) < 2
        place = data.draw(st.integers(0, len(parents) - 1))
        leaf = Tree(len(parents), links_from(parents)).newest_leaf(place)
        while some := [each for each, up in enumerate(parents) if up == place]:
            place = max(some)
        assert leaf == place

    @given(trees(), st.data())
    def test_forks_leave_deleted_messages_out(
        self, tree: tuple[list[int], set[int]], data: st.DataObject
    ) -> None:
        parents, deleted = tree
        last_shown = data.draw(
            st.integers(ROOT, len(parents) - 1).filter(lambda n: n not in deleted)
        )

        def not_deleted(place: int) -> int:
            return not_deleted(parents[place]) if place in deleted else place

        following: dict[int, list[int]] = {}
        for place in sorted(set(range(len(parents))) - deleted):
            following.setdefault(not_deleted(parents[place]), []).append(place)
        whole = Tree(len(parents), links_from(parents))
        for place in deleted:
            whole.delete(place)
        assert whole.forks(last_shown) == {
            up: some for up, some in following.items() if len(some) > 1 or up == last_shown
        }

    def test_forks_list_a_message_once(self) -> None:
        # Each deleted message is followed by the next deleted one and by one that is not.
        length = 20_000
        links = [Link(place, place - 2) for place in range(2, length, 2)]
        links += [Link(place, place - 1) for place in range(1, length, 2)]
        tree = Tree(length, links, range(0, length, 2))

        assert tree.forks(ROOT) == {ROOT: list(range(1, length, 2))}

    @given(trees(), st.data())
    def test_fork_is_the_last_place_in_common(
        self, tree: tuple[list[int], set[int]], data: st.DataObject
    ) -> None:
        parents, _ = tree
        one, other = (data.draw(st.integers(0, len(parents) - 1)) for _ in range(2))
        whole = Tree(len(parents), links_from(parents))
        common = [
            here
            for here, there in zip(walk(parents, one), walk(parents, other), strict=False)
            if here == there
        ]
        assert fork_of(whole.path_to(one), whole.path_to(other)) == (common or [ROOT])[-1]


class TestLinks:
    def test_are_made_for_messages_that_do_not_follow_the_one_before(self) -> None:
        ids = ["a", "b", "c", "d"]
        assert links_of([None, "a", "a", "c"], ids) == [Link(2, 0)]
        assert links_of([None, None, "b", "a"], ids) == [Link(1, ROOT), Link(3, 0)]

    def test_are_selected_by_places(self) -> None:
        links = [Link(2, 0), Link(5, 1), Link(9, 3)]
        assert list(links_within(links, 2, 9)) == links[:2]
        assert list(links_within(links, 3, 5)) == []
