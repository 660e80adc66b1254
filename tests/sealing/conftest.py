"""Fixtures: an audit log without a service around it."""

import pytest

from support.log_fixtures import keys, log, sign_in

__all__ = ["keys", "log", "sealer", "sign_in"]


@pytest.fixture(autouse=True)
def sealer(own_application: None) -> None:
    """Let the service's own sealer run."""
