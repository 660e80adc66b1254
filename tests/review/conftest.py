"""Fixtures: people whose sign-ins are in the log."""

from support.log_fixtures import sign_in

__all__ = ["sign_in"]
