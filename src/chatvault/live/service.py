"""Opening a stream of live events, and what it sends until it ends."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.errors import NotAuthenticated
from chatvault.fields import Raw
from chatvault.live.events import STARTED, LiveEvent
from chatvault.live.frames import (
    Frame,
    Renderer,
    closing_frame,
    heartbeat_frame,
    ready_frame,
)
from chatvault.live.hub import Hub
from chatvault.live.jobs import JobWatch
from chatvault.live.mailbox import Item, Mailbox, Merged, Reset
from chatvault.live.pieces import ReplyPieces
from chatvault.live.schemas import ClientMessage
from chatvault.live.sessions import end_without_session
from chatvault.replies.deps import ReplyDeps

HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDeps:
    """The dependencies of live events."""

    hub: Hub
    renderer: Renderer
    jobs: JobWatch
    recorder: Recorder
    replies: ReplyDeps


class LiveStream:
    """The events of one connection; the context counts it, and ends with it.

    Args:
        access: to the data of its user.
        deps: what events are made with.
        mailbox: attached to the hub.
        is_simple: whether frames are those of the simple dialect.
        follows: whether it stays open when there is nothing more to send.
    """

    def __init__(
        self,
        access: Access,
        deps: LiveDeps,
        mailbox: Mailbox,
        *,
        is_simple: bool,
        follows: bool,
    ) -> None:
        self._access = access
        self._deps = deps
        self._follows = follows
        self._is_simple = is_simple
        self._pieces = ReplyPieces(access, self._find_access, deps.replies, mailbox)
        self.mailbox = mailbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._deps.hub.release(self.mailbox)
        await self._pieces.close()

    async def list_frames(self) -> AsyncGenerator[list[Frame]]:
        """Yield the frames that are due, until the connection is to end."""
        mailbox, hub = self.mailbox, self._deps.hub
        if not mailbox.is_reset:
            yield [ready_frame(mailbox.position)]
        while self._follows or not mailbox.is_empty:
            await mailbox.wait(HEARTBEAT_SECONDS)
            if mailbox.closing is not None:
                yield [closing_frame(mailbox.closing)]
                return
            items = mailbox.take()
            if items:
                self._note_replies(items)
                if frames := await self._render(items):
                    yield frames
                # Those who have much to read leave the loop to others.
                await asyncio.sleep(0)
            elif mailbox.is_empty:
                mailbox.position = max(mailbox.position, hub.position)
                yield [heartbeat_frame(mailbox.position)]

    async def _render(self, items: list[Item]) -> list[Frame]:
        if not items[1:]:
            return await self._render_one(items[0])
        frames = await asyncio.gather(*map(self._render_one, items))
        return [frame for each in frames for frame in each]

    async def _render_one(self, item: Item) -> list[Frame]:
        """Return the frames of something that waited; none of what is not shared any more."""
        renderer, hub = self._deps.renderer, self._deps.hub
        render = renderer.render_simple if self._is_simple else renderer.render
        event = item.event if isinstance(item, Merged) else item
        if not isinstance(event, LiveEvent):
            is_shown = isinstance(event, Reset) or self._may_show(event)
            return await render(self._access, item) if is_shown else []
        shares = hub.count_listeners(event) > 1
        if event.user_id == self._access.owner_id:
            return await render(self._access, item, shares=shares)
        seen = event.seen_by_guest()
        if seen is None:
            return []
        shown = seen if item is event else replace(cast("Merged", item), event=seen)
        if event.is_of_grant:
            return await render(self._access, shown)
        access = self._find_access(str(event.conversation_id))
        if access is None:
            return []
        frames = await render(access, shown, shares=shares)
        # It may have ended while messages were read.
        return frames if self._find_access(str(event.conversation_id)) is not None else []

    def _may_show(self, frame: Raw) -> bool:
        """Whether a frame without id is about something that the user may still see."""
        shared_by = frame.get("owner_id")
        return shared_by is None or self._find_access(str(frame["conversation_id"])) is not None

    def _find_access(self, conversation: str) -> Access | None:
        """Return the access to a conversation that is shared with the user, without a query."""
        return self._deps.hub.guests.find_access(self._access.owner_id, conversation)

    def _note_replies(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, LiveEvent) and item.type == STARTED and item.conversation_id:
                self._pieces.note(item.conversation_id, str(item.more["reply_id"]))

    async def handle(self, message: ClientMessage) -> None:
        """Do what the client asks for."""
        if message.resume is not None:
            self._deps.hub.resume(self.mailbox, message.resume)
        if "subscribe" in message.model_fields_set:
            await self._pieces.choose(message.subscribe or [])
        if "ping" in message.model_fields_set:
            self.mailbox.answer({"type": "pong", "ping": message.ping})


async def open_stream(
    actor: Actor,
    deps: LiveDeps,
    *,
    after: str | None,
    is_gone: Callable[[], bool],
    is_simple: bool = False,
    follows: bool = True,
) -> LiveStream:
    """Begin to hand the actor's events to a connection.

    Args:
        actor: whose events.
        deps: what events are made with.
        after: the id of the last event that the client knows; None begins now.
        is_gone: whether the client is known to have disconnected.
        is_simple: whether frames are those of the simple dialect.
        follows: whether the stream stays open when there is nothing more to send.

    Raises:
        TooManyStreams: the actor has as many connections as one may have.
        Unavailable: the process has as many, or cannot follow the log now.
        NotAuthenticated: the session has ended meanwhile.
    """
    access = Access.of(actor)
    mailbox = Mailbox(access.owner_id, actor.session_id, is_gone)
    deps.hub.admit(mailbox)
    with ExitStack() as undo:
        undo.callback(deps.hub.release, mailbox)
        await deps.hub.attach(mailbox, after)
        await _check_session(mailbox)
        await deps.jobs.begin(access, mailbox)
        await deps.recorder.record(audit.entry(actor, Action.EVENTS_FOLLOW))
        undo.pop_all()
    return LiveStream(access, deps, mailbox, is_simple=is_simple, follows=follows)


async def _check_session(mailbox: Mailbox) -> None:
    """Raise if the session ended after the request was let in, and before the hub would tell.

    Raises:
        NotAuthenticated: it has ended.
    """
    await end_without_session([mailbox])
    if mailbox.closing is not None:
        raise NotAuthenticated
