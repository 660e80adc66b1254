"""Request and response schemas of administration."""

from pydantic import BaseModel, Field

from chatvault.fields import Instant


class QueueHealthOut(BaseModel):
    """The commit queue of the process that answers."""

    waiting: int = Field(description="changes of conversations that wait for a batch")


class LiveHealthOut(BaseModel):
    """The live events of the process that answers."""

    connections: int
    silence_seconds: float = Field(
        description="since MongoDB last answered the change stream, as it does each second; 0 "
        "without connections"
    )


class SearchHealthOut(BaseModel):
    """The search indexes that the process that answers has in use."""

    users: int = Field(description="who searched within the last minutes")
    missing_messages: int = Field(description="messages that their indexes do not have yet")


class AuditHealthOut(BaseModel):
    """The sealing of the audit log.

    Attributes:
        block: the number of the newest block; null before the first.
        sealed_at: when it was made.
    """

    block: int | None
    sealed_at: Instant | None
    unsealed_seconds: float = Field(description="the age of the oldest entry that waits; or 0")


class ServiceHealthOut(BaseModel):
    """The health of the service."""

    is_database_up: bool = Field(description="if not, `audit` and `jobs` say nothing")
    failing: list[str] = Field(description="background loops that failed just now")
    replies_running: int = Field(description="by the process that answers")
    is_sealing: bool = Field(description="whether new content is stored sealed")
    commit_queue: QueueHealthOut
    live: LiveHealthOut
    search: SearchHealthOut
    audit: AuditHealthOut
    jobs: dict[str, int] = Field(
        description="how many of each kind have not ended", examples=[{"import": 1, "reply": 0}]
    )
