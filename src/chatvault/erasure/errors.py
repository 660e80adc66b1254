"""Refusals of an erasure."""

from chatvault.errors import Conflict


class HeldForLaw(Conflict):
    """The account is held for legal reasons; it can be erased once the hold is lifted."""

    code = "held"


class ServiceAccount(Conflict):
    """The account is for programs and of no person; close it with `chatvault users deactivate`."""

    code = "service_account"
