"""The dependencies of replies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatvault.access import Guest
from chatvault.actor import Actor
from chatvault.agents.models import ModelCatalog
from chatvault.audit.recorder import Recorder
from chatvault.commands.servers import Servers
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.store import MessageStore
from chatvault.errors import InvalidInput
from chatvault.idempotency import IdempotencyKey, was_carried_out
from chatvault.mongodb.rates import Rate
from chatvault.replies.events import EventLog
from chatvault.replies.runner import ReplyRunner
from chatvault.tokens import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDeps:
    """The dependencies of replies.

    Attributes:
        check_tokens: raises if an actor has no tokens left today.
        max_content: the limit of characters of a message.
        max_tokens: the limit of tokens of an answer.
    """

    commits: CommitQueue
    store: MessageStore
    recorder: Recorder
    catalog: ModelCatalog
    tokenizer: Tokenizer
    event_log: EventLog
    runner: ReplyRunner
    servers: Servers
    rate: Rate
    check_tokens: Callable[[Actor], Awaitable[None]]
    max_content: int
    max_tokens: int

    async def admit(self, actor: Actor, idempotency_key: IdempotencyKey | None) -> None:
        """Count a call of a model; a repeated request, which gets the first answer, does not count.

        Raises:
            Throttled: too many times in this minute.
            DailyLimitReached: the actor's tokens of today are used up.
        """
        if not await was_carried_out(actor, idempotency_key):
            await self.take_turn(actor)

    async def take_turn(self, actor: Actor) -> None:
        """Count a call of a model.

        Raises:
            Throttled: too many times in this minute.
            DailyLimitReached: the tokens of today are used up, a guest's by the owner.
        """
        await self.check_tokens(actor.payer if isinstance(actor, Guest) else actor)
        await self.rate.admit(str(actor.owner_id))

    def check_content(self, content: str | None, name: str = "content") -> None:
        """Raise if a message is too long.

        Raises:
            InvalidInput: it is too long.
        """
        if content is not None and len(content) > self.max_content:
            reason = f"should have at most {self.max_content} characters"
            raise InvalidInput.in_field("body", name, problem=reason, kind="string_too_long")
