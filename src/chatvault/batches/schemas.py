"""Requests and responses of actions on many conversations."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chatvault.batches.models import BatchAction, BatchState
from chatvault.conversations.lists.schemas import ListFilter
from chatvault.conversations.schemas import Tag
from chatvault.errors import FieldError, InvalidInput
from chatvault.exporting.schemas import ConversationFormat, WithAttachments
from chatvault.fields import Id, Instant, Raw

MAX_IDS = 1_000
# The fields that an action needs, and those that it takes beside them.
NEEDS = {
    BatchAction.TAG: {"tags"},
    BatchAction.UNTAG: {"tags"},
    BatchAction.MOVE: {"category_id"},
}
TAKES = {BatchAction.EXPORT: {"format", "attachments"}}
OPTIONS = ("tags", "category_id", "format", "attachments")


class BatchCreate(BaseModel):
    """An action on conversations, which are named by their ids or chosen by a filter."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"action": "tag", "tags": ["travel"], "filter": {"pinned": True}}]
        },
    )

    action: BatchAction
    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: ListFilter | None = Field(
        None, description="conditions as those of GET /conversations; {}: all; not beside `ids`"
    )
    tags: Annotated[list[Tag], Field(min_length=1, max_length=64)] | None = Field(
        None, description="for tag and untag"
    )
    category_id: Id | None = Field(None, description="for move; null: into no category")
    format: ConversationFormat = Field(ConversationFormat.NDJSON, description="for export")
    attachments: WithAttachments | None = Field(None, description="for export")
    dry_run: bool = Field(default=False, description="only count the conversations")

    def check(self) -> None:
        """Check that the fields fit each other.

        Raises:
            InvalidInput: a field is missing, or is one of another action.
        """
        needs = NEEDS.get(self.action, set())
        takes = needs | TAKES.get(self.action, set())
        errors = [
            FieldError(("body", name), f"needed for {self.action.value}", "missing")
            for name in OPTIONS
            if name in needs - self.model_fields_set or (name == "tags" in needs and not self.tags)
        ]
        errors += [
            FieldError(("body", name), f"not for {self.action.value}", "extra_forbidden")
            for name in OPTIONS
            if name in self.model_fields_set - takes
        ]
        if (self.ids is None) is (self.filter is None):
            errors.append(FieldError(("body", "ids"), "takes ids or a filter", "ids_or_filter"))
        if errors:
            told = "; ".join(f"{each.loc[-1]}: {each.msg}" for each in errors)
            raise InvalidInput(told, errors=tuple(errors))

    def options(self) -> Raw:
        """Return what the action needs to know of each conversation's change."""
        names = NEEDS.get(self.action, set())
        return self.model_dump(include=set(names)) if names else {}


class BatchPath(BaseModel):
    """The path of one action in the background."""

    batch_id: Id


class BatchFailure(BaseModel):
    """A conversation that was not changed, with the code of the error."""

    id: Id
    code: str


class BatchOut(BaseModel):
    """An action on many conversations and its progress.

    Of `total` conversations, `done` were gone through; `changed` of these were changed, `failed`
    counts those that could not be, by the error's code, and the others were that way already.
    `failures` are the first hundred of the failed ones. `id` is null where everything was done at
    once; `changed_ids` are then those that were changed. `undoes` is the job that this one takes
    back. `code` says why it ended early. An export continues under its own id.
    """

    id: Id | None
    action: BatchAction
    state: BatchState
    dry_run: bool
    created_at: Instant
    total: int
    done: int
    changed: int
    failed: dict[str, int]
    failures: list[BatchFailure]
    cancel_requested: bool
    code: str | None
    export_id: Id | None
    expires_at: Instant | None
    changed_ids: list[Id] | None
    undoes: Id | None


class BatchesOut(BaseModel):
    """My newest actions in the background."""

    batches: list[BatchOut]


def batch_wire(batch: Raw) -> Raw:
    """Return an action as the API shows it, of a stored job or of what was done at once."""
    others = {"dry_run": False, "export_id": None, "changed_ids": None, "undoes": None}
    shown = {**others, **batch}
    names = BatchOut.model_fields.keys() - {"id", "failures"}
    return {
        "id": batch["_id"],
        **{name: shown[name] for name in BatchOut.model_fields if name in names},
        "failures": batch["failures_shown"],
    }
