"""Without an identity provider, nobody signs in with one."""

from conftest import HttpClient
from support.answers import problem


async def test_is_a_404(http: HttpClient, alice: HttpClient) -> None:
    await problem(await http.get("/auth/oidc/login"), 404, "oidc_off")
    await problem(await alice.post("/auth/oidc/link", json={}), 404, "oidc_off")
    await problem(await alice.delete("/auth/oidc/link"), 404, "oidc_off")
    form = {"logout_token": "x"}
    await problem(await http.post("/auth/oidc/backchannel-logout", data=form), 404, "oidc_off")
    answer = await http.get("/auth/oidc/callback?state=x", allow_redirects=False)
    assert answer.headers["Location"] == "/login?problem=oidc_off"
