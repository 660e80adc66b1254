"""chatvault: the system of record for AI conversations."""

from importlib.metadata import version

__version__ = version("chatvault")
