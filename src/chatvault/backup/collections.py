"""The collections of a backup, by what each of them declares."""

from collections.abc import Iterable

from chatvault import documents


def contained() -> list[str]:
    """Return the collections that the files of a backup have."""
    return [name for name, holds in documents.HOLDS.items() if holds.backed_up]


def kept_apart() -> set[str]:
    """Return those of them that are in the second file, unless one file is to have all."""
    return {name for name in contained() if documents.HOLDS[name].kept_apart}


def find_unknown(names: Iterable[str]) -> list[str]:
    """Return which of these collections chatvault does not declare."""
    mongodbs = "system."
    return sorted(
        name for name in names if name not in documents.HOLDS and not name.startswith(mongodbs)
    )
