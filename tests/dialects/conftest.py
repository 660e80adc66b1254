"""Fixtures: an application that is configured for a model's twin."""

from support.model_fixtures import settings

__all__ = ["settings"]
