"""The real process while it streams: killed, stopped, and with two processes on one database."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from running import Service, ask
from talking import EVENT_STREAM, Received, events_of, next_event, text_of
from twin import Act, Twin


def configured(data_dir: Path, twin: Twin, *arguments: str) -> Service:
    provider = {"base_url": twin.url, "api_key": "sk-secret", "model": "gpt-twin"}
    settings = {"providers": json.dumps({"twin": provider}), "log_level": "warning"}
    return Service(data_dir, *arguments, **settings)


async def begin(service: Service, browser: aiohttp.ClientSession) -> str:
    await service.sign_in(browser)
    _, begun = await ask(browser, "POST", f"{service.url}/conversations", {"title": "T"})
    return f"/conversations/{begun['id']}"


async def stream(service: Service, browser: aiohttp.ClientSession, path: str) -> Any:
    answer = await browser.post(
        f"{service.url}{path}/replies", json={"content": "Hello"}, headers=EVENT_STREAM
    )
    assert answer.status == 200, await answer.text()
    return answer


async def usable(service: Service, browser: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """The conversation, once it takes a message again and has answered it."""
    for _ in range(30):
        answer, _ = await ask(browser, "POST", f"{service.url}{path}/replies", {"content": "Next"})
        if answer.status == 201:
            break
        assert answer.status == 409
        await asyncio.sleep(1)
    _, conversation = await ask(browser, "GET", f"{service.url}{path}")
    found: dict[str, Any] = conversation
    return found


class TestKilled:
    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("words", [0, 1, 3])
    async def test_in_the_middle_keeps_what_was_shown(
        self, tmp_path: Path, twin: Twin, words: int
    ) -> None:
        gate = asyncio.Event()
        chunks = [f"word{number} " for number in range(6)]
        with configured(tmp_path / "data", twin) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                twin.say(Act(chunks=[*chunks[: max(words, 1)], "never"], pause=0.1))
                if not words:
                    twin.acts[0].held = gate
                answer = await stream(service, browser, path)
                shown: list[Received] = []
                while len([each for each in shown if each.type == "delta"]) < words or not shown:
                    event = await next_event(answer)
                    assert event is not None
                    shown.append(event)

                service.kill()
                gate.set()
                service.start()
                conversation = await usable(service, browser, path)

                texts = [message["content"] for message in conversation["messages"]]
                said = text_of(shown)
                assert texts[0] == "Hello"
                assert texts[-2] == "Next"
                if words:
                    # What was stored may be more than what had arrived here.
                    assert texts[1].startswith(said)
                    assert conversation["messages"][1]["interrupted"] is True
                    assert len(texts) == 4
                else:
                    assert len(texts) == 3
                reply = shown[0].data["reply_id"]
                follow = f"{service.url}{path}/replies/{reply}/events"
                again = await events_of(await browser.get(follow))
                assert again[: len(shown)] == shown
                assert (again[-1].type, again[-1].data["code"]) == ("error", "reply_interrupted")


class TestStopped:
    @pytest.mark.timeout(60)
    async def test_ends_its_streams_in_order(self, tmp_path: Path, twin: Twin) -> None:
        twin.say(Act(chunks=["Half", " whole"], gate=asyncio.Event()))
        with configured(tmp_path / "data", twin) as service:
            async with service.browser() as browser:
                path = await begin(service, browser)
                answer = await stream(service, browser, path)
                for _ in range(2):
                    await next_event(answer)

                stopping = asyncio.create_task(asyncio.to_thread(service.stop))
                last = (await events_of(answer))[-1]

                assert (last.type, last.data["code"]) == ("error", "reply_interrupted")
                assert last.data["message"]["content"] == "Half"
                assert await stopping == 0
                service.start()


class TestProcesses:
    @pytest.mark.timeout(60)
    async def test_follow_each_others_replies(self, tmp_path: Path, twin: Twin) -> None:
        gate = asyncio.Event()
        twin.say(Act(chunks=["First", " second"], gate=gate))
        with configured(tmp_path / "data", twin, "--workers", "2") as service:
            async with service.browser(Connection="close") as browser:
                path = await begin(service, browser)
                answer = await stream(service, browser, path)
                first = await next_event(answer)
                assert first is not None
                follow = f"{service.url}{path}/replies/{first.data['reply_id']}/events"
                # The kernel spreads the connections: some of these are the other process's.
                others = [await browser.get(follow) for _ in range(8)]
                gate.set()

                for each in [*others, answer]:
                    events = await events_of(each)
                    assert events[-1].type == "completed"
                    assert events[-1].data["message"]["content"] == "First second"
