"""Where the service answers: on both loopback addresses, whoever of them a browser tries first."""

import aiohttp
import pytest

from support.running import Service, ask

PAGE = "http://localhost:5173"


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("service", "workers")
    ]
)
def running(request: pytest.FixtureRequest) -> Service:
    """The service as one process, and as several."""
    running: Service = request.getfixturevalue(request.param)
    return running


def port_of(service: Service) -> str:
    return service.url.rpartition(":")[2]


class TestLoopback:
    async def test_answers_on_both_addresses_and_prints_the_name(self, running: Service) -> None:
        assert running.url == f"http://localhost:{port_of(running)}"
        async with aiohttp.ClientSession() as session:
            for host in ("localhost", "127.0.0.1", "[::1]"):
                url = f"http://{host}:{port_of(running)}/health"
                answer, body = await ask(session, "GET", url)
                assert (answer.status, body["status"]) == (200, "healthy")

    async def test_keeps_a_page_on_localhost_signed_in(self, running: Service) -> None:
        async with running.browser(Origin=PAGE) as browser:
            await running.sign_in(browser, "walter")

            answer, _ = await ask(browser, "GET", f"{running.url}/auth/me")

            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE

    async def test_reports_a_call_of_another_site_to_the_page(self, running: Service) -> None:
        # As a browser does: it sends no cookie to a site that is not the page's.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            answer, problem = await ask(
                browser,
                "GET",
                f"http://127.0.0.1:{port_of(running)}/auth/me",
                headers={"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
            )

        assert (answer.status, problem["code"]) == (401, "cookie_withheld")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
