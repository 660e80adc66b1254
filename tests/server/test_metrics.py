"""The listener for metrics, and what one process reads of another."""

from pathlib import Path

import aiohttp
import pytest

from chatvault.administration.exposition import Exposition
from chatvault.administration.readings import Readings
from chatvault.app import create_app, exposition_of
from chatvault.metrics.instruments import Metrics
from chatvault.server.listening import CannotListen
from chatvault.server.metrics import Worker, Workers, listening, shown_to_others
from chatvault.settings import Settings
from support.metrics import Read
from support.serving import serving
from support.tooling import free_port


class TestListener:
    async def test_shows_metrics_without_credentials_and_nothing_else(
        self, settings: Settings, mongodb_url: str
    ) -> None:
        place = f"127.0.0.1:{free_port()}"
        with_metrics = settings.model_copy(update={"metrics": place})
        async with (
            serving(with_metrics, mongodb_url) as (host, port),
            aiohttp.ClientSession() as reader,
        ):
            await reader.get(f"http://{host}:{port}/health")
            answer = await reader.get(f"http://{place}/metrics")
            found = Read(await answer.text())
            assert found.get("chatvault_requests_total", route="/health", status="200") == 1
            assert (found.get("chatvault_http_connections") or 0) >= 1
            for path in ("/health", "/admin/health", "/own", "/"):
                assert (await reader.get(f"http://{place}{path}")).status == 404
            assert (await reader.get(f"http://{host}:{port}/metrics")).status == 401
        with pytest.raises(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession() as reader:
                await reader.get(f"http://{place}/metrics")

    async def test_is_refused_on_an_address_of_others(self, settings: Settings) -> None:
        with_metrics = settings.model_copy(update={"metrics": "192.0.2.1:0"})
        with pytest.raises(CannotListen, match="CHATVAULT_METRICS"):
            async with listening(with_metrics, Exposition(Metrics(), Readings())):
                pass

    @pytest.mark.parametrize("value", ["9464", "http://localhost:1", "a b:1", "host:123456"])
    def test_is_refused_without_an_address_and_a_port(self, data_dir: Path, value: str) -> None:
        with pytest.raises(ValueError, match="metrics"):
            Settings(data_dir=data_dir, metrics=value)

    @pytest.mark.parametrize("value", [None, ""])
    async def test_is_none_by_default(self, settings: Settings, value: str | None) -> None:
        without = settings.model_copy(update={"metrics": value})
        async with listening(without, Exposition(Metrics(), Readings())) as address:
            assert address is None
        assert Settings(data_dir=settings.data_dir, metrics=value).metrics == value


class TestWorkers:
    async def test_show_each_other_and_those_that_do_not_answer(
        self, settings: Settings, mongodb_url: str, tmp_path: Path
    ) -> None:
        workers = Workers(tmp_path, 3)
        (tmp_path / "0.sock").touch()  # of one that was killed
        apps = [exposition_of(create_app(settings, mongodb_url=mongodb_url)) for _ in range(2)]
        async with (
            shown_to_others(apps[0], Worker(0, workers)),
            shown_to_others(apps[1], Worker(1, workers)),
        ):
            text = await workers.ask_any()
            assert text is not None
            found = Read(text.decode())
            up = [found.get("chatvault_worker_up", worker=each) for each in "012"]
            assert up == [1, 1, 0]
            depths = [found.get("chatvault_commit_queue_depth", worker=each) for each in "01"]
            assert depths == [0, 0]
        assert await workers.ask_any() is None
