"""Each field that is declared as words is sealed or listed as readable; the page says so."""

import re
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from chatvault.documents import HOLDS
from chatvault.vault.coverage import READABLE_YET, SEALED, warn_of_readable
from chatvault.vault.masters import MasterKeys

PAGE = (Path(__file__).parent.parent.parent / "docs" / "privacy.md").read_text()
WORDS = {name: set(holds.words) for name, holds in HOLDS.items() if holds.words}


def test_each_declared_word_is_sealed_or_listed_as_readable() -> None:
    assert {*SEALED, *READABLE_YET} == WORDS.keys()
    assert not SEALED.keys() & set(READABLE_YET)
    for name, fields in SEALED.items():
        assert WORDS[name] == fields, name


def test_the_page_lists_what_is_readable() -> None:
    [told] = re.findall(r"^Not sealed yet by this version:\n(.+?)\.$", PAGE, re.MULTILINE)

    assert re.findall(r"`(\w+)`", told) == sorted(READABLE_YET)


@pytest.mark.parametrize("masters", [None, MasterKeys([bytes(32)])])
def test_a_start_with_master_keys_warns_of_what_is_readable(masters: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        warn_of_readable(masters)

    assert [each["readable"] for each in logs] == ([READABLE_YET] if masters else [])
