"""Fixtures: an audit log without a service around it."""

from support.log_fixtures import keys, log, sign_in

__all__ = ["keys", "log", "sign_in"]
