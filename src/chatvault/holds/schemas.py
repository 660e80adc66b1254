"""Request and response schemas of legal holds."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chatvault.cursors import Cursor, decode_cursor, not_ours
from chatvault.fields import Id, Instant, Raw


def _decode(text: object) -> Cursor:
    found = decode_cursor(text)
    if found is None:
        raise not_ours()
    return found


class HoldIn(BaseModel):
    """A hold to place."""

    model_config = ConfigDict(extra="forbid")

    user_id: Id = Field(description="whose conversations are kept")
    conversation_id: Id | None = Field(None, description="the one to keep; null keeps all")
    reason: str = Field(
        min_length=1,
        max_length=500,
        description="such as the number of a case",
        examples=["Case 17/2026"],
    )


class HoldPath(BaseModel):
    """The path of one hold."""

    hold_id: Id


class HoldsQuery(BaseModel):
    """The query of a list of holds."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    limit: int = Field(100, ge=1, le=1000)
    user_id: Id | None = Field(None, description="whose conversations are kept")
    lifted: bool = Field(default=False, description="those that were lifted, too")
    cursor: Annotated[Any, BeforeValidator(_decode), WithJsonSchema({"type": "string"})] = None

    def to_raw(self) -> Raw:
        """Return MongoDB's filter."""
        which: Raw = {} if self.user_id is None else {"user_id": self.user_id}
        if not self.lifted:
            which["lifted_at"] = None
        if self.cursor is not None:
            at, last_id = self.cursor
            which["placed_at"] = {"$lte": at}
            which["$or"] = [{"placed_at": {"$lt": at}}, {"_id": {"$lt": last_id}}]
        return which


class HoldOut(BaseModel):
    """A legal hold.

    Attributes:
        placed_by: the auditor; null at the command line.
        lifted_at: null while it is in force.
    """

    id: Id
    user_id: Id
    conversation_id: Id | None
    reason: str = Field(examples=["Case 17/2026"])
    placed_by: Id | None
    placed_at: Instant
    lifted_at: Instant | None


def hold_wire(hold: Raw) -> HoldOut:
    """Return a stored hold as the API shows it."""
    return HoldOut(id=hold["_id"], **{name: hold[name] for name in NAMES})


NAMES = tuple(HoldOut.model_fields.keys() - {"id"})
