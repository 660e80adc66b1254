"""Whether the operation under way has stored a change, so that a failure after it can say so."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Operation:
    """What is known of the operation under way.

    Attributes:
        has_stored: one of its changes was committed.
    """

    has_stored: bool = False


# Tasks that the operation begins share the object, as they get a copy of the context.
_CURRENT: ContextVar[Operation | None] = ContextVar("operation", default=None)


def begin_operation() -> None:
    """Forget what was stored before; a door calls it for each operation."""
    _CURRENT.set(Operation())


def note_stored() -> None:
    """Note that a change of the operation was committed."""
    if (operation := _CURRENT.get()) is not None:
        operation.has_stored = True


def has_stored() -> bool:
    """Whether the operation has stored a change."""
    operation = _CURRENT.get()
    return operation is not None and operation.has_stored
