"""Request and response schemas of legal holds."""

from typing import Annotated, Any, Literal

from bson import ObjectId
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from chatvault.conversations.lists.schemas import ListedStatus
from chatvault.conversations.shapes import ConversationDoc
from chatvault.cursors import (
    Cursor,
    decode_cursor,
    decode_name_cursor,
    encode_name_cursor,
    not_ours,
)
from chatvault.encoding import to_json
from chatvault.fields import Id, Instant, Raw
from chatvault.holds.kept import KeptMessage, Kind, Place

CurrentKey = tuple[Literal[Kind.CURRENT], tuple[int]]
EarlierKey = tuple[Literal[Kind.EARLIER], tuple[str, int, int]]
ReplacedKey = tuple[Literal[Kind.REPLACED], tuple[Id, int]]
PLACES: TypeAdapter[CurrentKey | EarlierKey | ReplacedKey] = TypeAdapter(
    CurrentKey | EarlierKey | ReplacedKey
)


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


class HeldPath(HoldPath):
    """The path of one conversation that a hold keeps."""

    conversation_id: Id


def _decode_id(text: object) -> ObjectId | None:
    name = decode_name_cursor(text)
    if name is None:
        return None
    if not ObjectId.is_valid(name):
        raise not_ours()
    return ObjectId(name)


def _decode_place(text: object) -> Place | None:
    name = decode_name_cursor(text)
    if name is None:
        return None
    try:
        return Place(*PLACES.validate_json(name))
    except ValidationError:
        raise not_ours() from None


class HeldConversationsQuery(BaseModel):
    """The query of a list of the conversations that a hold keeps."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    limit: int = Field(100, ge=1, le=1000)
    cursor: Annotated[Any, BeforeValidator(_decode_id), WithJsonSchema({"type": "string"})] = None


class HeldMessagesQuery(BaseModel):
    """The query of a list of the messages that a hold keeps."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    limit: int = Field(100, ge=1, le=1000)
    cursor: Annotated[Any, BeforeValidator(_decode_place), WithJsonSchema({"type": "string"})] = (
        None
    )


class HeldConversationOut(BaseModel):
    """A conversation that a hold keeps, without its messages.

    Attributes:
        status: `deleted` in the trash.
        deleted_at: when it was put there.
    """

    id: Id
    title: str
    status: ListedStatus
    tags: list[str]
    metadata: dict[str, Any]
    system_prompt: str | None
    summary: str | None
    created_at: Instant
    updated_at: Instant
    deleted_at: Instant | None
    total_messages: int


class HeldMessageOut(BaseModel):
    """A message that a hold keeps.

    Attributes:
        kind: `current`: it is in the conversation; `earlier`: as it was before an edit or its
            removal; `replaced`: it was replaced with all messages of the conversation.
        replaced_at: the time of the edit or removal, where it is known.
        message: as it is shown in a conversation; the `seq` of a replaced one is null.
    """

    kind: Kind
    replaced_at: Instant | None
    message: dict[str, Any]


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
        username: of the user; only in lists, and null if the account is gone.
        placed_by: the auditor; null at the command line.
        lifted_at: null while it is in force.
    """

    id: Id
    user_id: Id
    username: str | None = None
    conversation_id: Id | None
    reason: str = Field(examples=["Case 17/2026"])
    placed_by: Id | None
    placed_at: Instant
    lifted_at: Instant | None


def hold_wire(hold: Raw) -> HoldOut:
    """Return a stored hold as the API shows it."""
    known = {name: hold[name] for name in NAMES}
    return HoldOut(id=hold["_id"], username=hold.get("username"), **known)


NAMES = tuple(HoldOut.model_fields.keys() - {"id", "username"})


def held_wire(conversation: ConversationDoc) -> HeldConversationOut:
    """Return a stored conversation as a hold's list shows it."""
    shown = {"status": "active", "deleted_at": None, **conversation}
    names = HeldConversationOut.model_fields.keys() - {"id"}
    return HeldConversationOut(id=conversation["_id"], **{name: shown[name] for name in names})


def held_message_wire(kept: KeptMessage) -> Raw:
    """Return a stored message as a hold's list shows it."""
    return {"kind": kept.place.kind, "replaced_at": kept.replaced_at, "message": kept.message}


def encode_place(place: Place) -> str:
    """Encode where a page of messages ended."""
    return encode_name_cursor(to_json([*place]).decode())
