"""Request and response schemas of erasures and of what is stored."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatvault.accounts.schemas import check_password
from chatvault.erasure.models import ErasureState
from chatvault.erasure.review import Stored
from chatvault.errors import NotFound
from chatvault.fields import Id, Instant


class ErasureIn(BaseModel):
    """The request to erase one's account."""

    model_config = ConfigDict(extra="forbid")

    password: Annotated[
        str,
        AfterValidator(check_password),
        Field(description="the account's, again; left out if it has none"),
    ] = ""


class ErasurePath(BaseModel):
    """The erasure in a path."""

    erasure_id: Id

    @staticmethod
    def absent() -> NotFound:
        """Return the error for a malformed id."""
        return NotFound("Erasure not found")


class ErasedUserPath(BaseModel):
    """The account in a path."""

    user_id: Id

    @staticmethod
    def absent() -> NotFound:
        """Return the error for a malformed id."""
        return NotFound("There is no such user")


class ErasureHeaders(BaseModel):
    """The token with which an erasure is read without an account."""

    token: str = Field(
        "",
        alias="Erasure-Token",
        max_length=128,
        description="the token that the request for the erasure was answered with",
    )


class ErasureOut(BaseModel):
    """The progress of an erasure; in the end, its receipt."""

    id: Id
    state: ErasureState = Field(
        description="`removing` while documents are removed; `pending` while MongoDB's log of "
        "changes still has them; then `final`"
    )
    started_at: Instant
    removed_at: Instant | None = Field(description="when nothing was found any more")
    final_at: Instant | None = Field(
        description="when the log of changes is expected to have nothing of it; null if unknown"
    )
    ended_at: Instant | None = Field(description="when that was seen")
    counts: dict[str, int] = Field(description="the number of removed documents by collection")
    files: int = Field(description="the number of uploaded files removed from disks")
    files_left: int = Field(description="the number of files on machines that did not answer yet")

    @classmethod
    def of(cls, erasure: dict[str, Any]) -> Self:
        """Build it from the document."""
        uploads = erasure["uploads"]
        removed = sum(each["is_removed"] for each in uploads)
        return cls.model_validate(
            {
                **{name: erasure[name] for name in ("state", "started_at", "counts")},
                **{name: erasure.get(name) for name in ("removed_at", "final_at", "ended_at")},
                "id": erasure["_id"],
                "files": removed,
                "files_left": len(uploads) - removed,
            }
        )


class NewErasureOut(ErasureOut):
    """An erasure that began."""

    token: str = Field(description="reads this without an account; shown once, so keep it")

    @classmethod
    def begun(cls, erasure: dict[str, Any], token: str) -> Self:
        """Build it from the document."""
        return cls(**ErasureOut.of(erasure).model_dump(), token=token)


class StoredOut(BaseModel):
    """The number of things of one kind, and their size."""

    model_config = ConfigDict(from_attributes=True)

    count: int
    bytes: int | None = Field(description="null where it is not known")


class MyDataOut(BaseModel):
    """The things that are stored of me, by kind."""

    conversations: StoredOut
    messages: StoredOut
    attachments: StoredOut
    agents: StoredOut
    api_keys: StoredOut
    imports: StoredOut
    uploads: StoredOut
    exports: StoredOut
    search_index: StoredOut

    @classmethod
    def of(cls, stored: dict[str, Stored]) -> Self:
        """Build it from the counts."""
        return cls.model_validate(stored, from_attributes=True)
