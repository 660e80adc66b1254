"""Requests and responses of imports in the background."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from chatvault.fields import Id, Instant, Raw
from chatvault.importing.format import Group
from chatvault.importing.jobs.reports import ImportReport, report_wire
from chatvault.importing.models import JobState
from chatvault.importing.reports import OnDuplicate


class ImportPath(BaseModel):
    """The path of one import."""

    import_id: Id


class ImportListQuery(BaseModel):
    """The query of a list of imports."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[Id | None, Field(description="where the page before ended: its `next`")] = None


class FollowImportHeaders(BaseModel):
    """The headers of a request for an import's events."""

    last_event_id: Annotated[int, Field(alias="Last-Event-ID", ge=0, le=2**53)] = 0


class ImportOptions(BaseModel):
    """The options of an import."""

    dry_run: bool
    salvage: bool
    on_duplicate: OnDuplicate
    restore_deleted: bool
    format: str | None
    group: Group | None = None


class ImportJobOut(BaseModel):
    """An import.

    Attributes:
        names: the names of the uploaded files.
        size: their number of bytes.
        read: the number of bytes read; bytes that are read twice count twice.
        found: the number of conversations in them, once it is known.
        done: the number of conversations that were processed.
        code: the code of the error with which it failed; `detail` describes it.
        version: rises with each change.
    """

    id: Id
    state: JobState
    options: ImportOptions
    names: list[str]
    size: int
    read: int
    found: int | None
    done: int
    report: ImportReport
    code: str | None
    detail: str | None
    cancel_requested: bool
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    version: int


class ImportListOut(BaseModel):
    """Some imports, the newest first; `next` is for `after`, and null on the last page."""

    imports: list[ImportJobOut]
    next: Id | None


def job_wire(job: Raw) -> dict[str, Any]:
    """Return a stored import as the API shows it."""
    shown = {name: job[name] for name in ImportJobOut.model_fields if name not in {"id", "report"}}
    return {"id": job["_id"], "report": report_wire(job["report"]), **shown}
