"""Whether the current operation has stored a change, so that a later failure can say so."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Operation:
    """The state of the current operation.

    Attributes:
        has_stored: one of its changes was committed.
    """

    has_stored: bool = False


# The tasks of an operation share this object, as each gets a copy of the context.
_CURRENT: ContextVar[Operation | None] = ContextVar("operation", default=None)


def begin_operation() -> None:
    """Start with nothing stored; a door calls it for each operation."""
    _CURRENT.set(Operation())


def note_stored() -> None:
    """Note that a change of the operation was committed."""
    if (operation := _CURRENT.get()) is not None:
        operation.has_stored = True


def has_stored() -> bool:
    """Whether the current operation has stored a change."""
    operation = _CURRENT.get()
    return operation is not None and operation.has_stored
