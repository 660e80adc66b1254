"""The errors of replies."""

from chatvault.agents.models import AgentNotFound, ModelNotConfigured
from chatvault.errors import ChatvaultError, Conflict, ConversationArchived, Unavailable


class ReplyInProgress(Conflict):
    """A reply is being written in this conversation; wait for its end, or cancel it."""

    code = "reply_in_progress"


class TokenLimitReached(Conflict):
    """The conversation has used up its tokens."""

    code = "token_limit_reached"


class NothingToAnswer(Conflict):
    """There is no message to answer again."""

    code = "nothing_to_answer"


class TooManyRounds(Conflict):
    """The model requested tools too often for one reply; send a new message to continue."""

    code = "too_many_rounds"


class NotContinued(Unavailable):
    """The reply could not continue after its tools had run; send a new message to continue."""

    code = "reply_not_continued"


class ReplyInterrupted(Unavailable):
    """The service stopped while the reply was being written; what there is of it is kept."""

    code = "reply_interrupted"


class Stopping(Unavailable):
    """This process is stopping, while the reply continues in another; try again shortly."""

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class ModelFailed(Unavailable):
    """The model could not answer; your message is kept, ask again with `regenerate`."""

    code = "model_failed"


class ModelTimedOut(ModelFailed):
    """The model took too long; your message is kept, ask again with `regenerate`."""

    code = "model_timed_out"


class ModelRateLimited(ModelFailed):
    """The model's provider has too much to do; your message is kept, ask again later."""

    code = "model_rate_limited"


class ModelUnavailable(ModelFailed):
    """The model's provider cannot be reached, or failed; your message is kept, ask again."""

    code = "model_unavailable"


class ModelRefused(ModelFailed):
    """The model's provider refused the request; an operator should look at its settings."""

    code = "model_refused"


class ModelStreamBroken(ModelFailed):
    """The model's answer broke off; what there is of it is kept, ask again with `regenerate`."""

    code = "model_stream_broken"


class ModelNonsense(ModelFailed):
    """The model's provider answered what cannot be read; your message is kept, ask again."""

    code = "model_nonsense"


FAILURES: tuple[type[ReplyInterrupted | ModelFailed], ...] = (
    ReplyInterrupted,
    ModelFailed,
    ModelTimedOut,
    ModelRateLimited,
    ModelUnavailable,
    ModelRefused,
    ModelStreamBroken,
    ModelNonsense,
)


# Why a reply that waited for commands could not continue.
HALTS: tuple[type[ChatvaultError], ...] = (
    TooManyRounds,
    NotContinued,
    TokenLimitReached,
    ConversationArchived,
    AgentNotFound,
    ModelNotConfigured,
)


def failure_of(code: str | None) -> ChatvaultError:
    """Return the error with this code, as it was when the reply ended."""
    return next((each for each in (*FAILURES, *HALTS) if each.code == code), ModelFailed)()
