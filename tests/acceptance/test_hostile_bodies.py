"""What one client sends, to whatever route, holds up nobody else and fills no memory."""

import asyncio
import threading
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

from support.hostile import ATTACKS, MB, Attack, Bystander, Memory, Outcome, carry_out
from support.running import Service, ask

# In one process, as all share a service.
pytestmark = pytest.mark.xdist_group("hostile")

# What is promised is one second; two attacks at once run beside it on threads of their own.
PATIENCE = 1.0
MEMORY = 600 * MB
AT_ONCE = 2


class Scene:
    """A running service with a bystander, and somebody hostile who is signed in, too."""

    def __init__(self, service: Service) -> None:
        self.service = service
        host, port = service.url.removeprefix("http://").split(":")
        self.address = host, int(port)
        self.bystander, self.hostile = asyncio.run(self._sign_in("bystander", "hostile"))

    async def _sign_in(self, *names: str) -> list[tuple[str, str]]:
        found = []
        for name in names:
            async with self.service.browser() as browser:
                await self.service.sign_in(browser, name)
                _, begun = await ask(browser, "POST", f"{self.service.url}/conversations", {})
                found.append((self.service.cookie(browser), begun["id"]))
        return found

    def under(self, attack: Attack) -> tuple[list[Outcome], Bystander, Memory]:
        """What becomes of an attack from several connections, and of the bystander meanwhile."""
        cookie, conversation_id = self.hostile
        request = attack.request(conversation_id, cookie)
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(target=lambda: outcomes.append(carry_out(self.address, *request)))
            for _ in range(AT_ONCE)
        ]
        process_id = self.service.process.pid
        memory = Memory(process_id)
        with memory, Bystander(self.address, process_id, *self.bystander) as bystander:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return outcomes, bystander, memory


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Service(tmp_path_factory.mktemp("hostile") / "data", log_level="warning") as service:
        yield Scene(service)


class TestHostileBodies:
    @pytest.mark.parametrize("attack", ATTACKS, ids=str)
    def test_delay_no_other_requests(self, scene: Scene, attack: Attack) -> None:
        outcomes, bystander, memory = scene.under(attack)

        assert {each.status for each in outcomes} <= {attack.status, 503}
        assert attack.status in {each.status for each in outcomes}
        refusals = [each.body for each in outcomes if each.status >= 400]
        assert all(len(body) < 16 * 1024 for body in refusals)
        assert bystander.failures == []
        assert bystander.worst < PATIENCE
        assert memory.peak < MEMORY
        assert "error" not in scene.service.log.read_text()

    def test_leave_little_memory_in_use(self, scene: Scene) -> None:
        assert psutil.Process(scene.service.process.pid).memory_info().rss < MEMORY // 2
