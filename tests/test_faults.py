"""The faults that `scripts/faults` makes fit the code as it is."""

from pathlib import Path

import pytest

from faults.run import Fault, apply, load_faults

ROOT = Path(__file__).parent.parent
FAULTS = load_faults()


class TestFaults:
    def test_are_many(self) -> None:
        assert len(FAULTS) >= 30

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    def test_still_apply(self, fault: Fault) -> None:
        apply(fault, ROOT, check=True)

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    def test_break_one_documented_rule(self, fault: Fault) -> None:
        changed = [line for line in fault.path.read_text().splitlines() if line[:4] == "+++ "]
        assert len(changed) == 1
        assert changed[0].startswith("+++ b/src/chatvault/")
        assert fault.rule.endswith(".")
        assert fault.tests
        for path in fault.tests:
            assert (ROOT / path).exists()
