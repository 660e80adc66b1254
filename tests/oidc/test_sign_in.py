"""Signing in with a real provider of OpenID Connect."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from yarl import URL

from chatvault.actor import Role
from chatvault.oidc import cookies
from chatvault.oidc.routes import OIDC_DEPS
from conftest import HttpClient, SignIn
from support.answers import problem, wrong_fields
from support.factories import PASSWORD, account
from support.signing_on import Person, RealProvider

pytestmark = pytest.mark.xdist_group("oidc")


async def me(http: HttpClient) -> dict[str, Any]:
    answer = await http.get("/auth/me")
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


def refused(answer: Any, page: str = "/login") -> str:
    """The code that the page gets."""
    assert answer.status == 303
    location = URL(answer.headers["Location"])
    assert location.path == page
    assert "session_id" not in answer.cookies
    return location.query["problem"]


class TestSignIn:
    async def test_makes_an_account_the_first_time_only(
        self, http: HttpClient, person: Person, database: Any
    ) -> None:
        answer = await person.sign_in("ann", return_to="/c/1?x=2")
        assert (answer.status, answer.headers["Location"]) == (303, "/c/1?x=2")
        first = await me(http)
        assert (first["username"], first["email"]) == ("ann", "ann@example.org")
        assert (first["full_name"], first["role"]) == ("ann Example", "user")
        assert (first["has_password"], first["has_identity"]) == (False, True)
        await http.post("/auth/logout")
        await person.sign_in("ann")
        assert (await me(http))["id"] == first["id"]
        assert await database.users.count_documents({}) == 1
        logins = database.audit_logs.count_documents(
            {"action": "session.login", "outcome": "success", "user_id": {"$ne": None}}
        )
        assert await logins == 2

    async def test_asks_with_a_proof_key_and_for_this_browser_only(self, person: Person) -> None:
        first, second = [parse_qs(urlsplit(await person.begin()).query) for _ in range(2)]
        assert first["code_challenge_method"] == ["S256"]
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]

    async def test_gives_another_name_where_one_is_taken(
        self, http: HttpClient, person: Person, sign_in: SignIn
    ) -> None:
        """Nor is the account with that name theirs."""
        await sign_in("unverified")
        await person.sign_in("unverified")
        found = await me(http)
        assert found["username"] == "unverified2"
        # The provider does not say that the address is theirs.
        assert found["email"].endswith("@service.invalid")

    async def test_gives_the_strongest_role_of_their_groups_each_time(
        self, http: HttpClient, person: Person, database: Any
    ) -> None:
        await person.sign_in("ann:lawyers:operators:others")
        assert (await me(http))["role"] == "admin"
        await database.users.update_one({}, {"$set": {"role": "user"}})
        await http.post("/auth/logout")
        await person.sign_in("ann:lawyers:operators:others")
        assert (await me(http))["role"] == "admin"
        assert await database.audit_logs.count_documents({"action": "user.change_role"}) == 1

    async def test_makes_administrators_who_count_as_such(
        self, http: HttpClient, person: Person, sign_in: SignIn
    ) -> None:
        root = await sign_in("root", role=Role.ADMIN)
        path = f"/admin/users/{(await me(root))['id']}"
        refused = await root.patch(path, json={"role": "user"})
        await problem(refused, 409, "last_administrator")
        await person.sign_in("ann:operators")
        assert (await root.patch(path, json={"role": "user"})).status == 200

    async def test_deletes_the_account_without_a_password_while_the_session_is_new(
        self, http: HttpClient, person: Person, database: Any
    ) -> None:
        await person.sign_in("ann")
        [session] = await database.sessions.find().to_list()
        old = session["created_at"] - timedelta(hours=1)
        await database.sessions.update_one({}, {"$set": {"created_at": old}})
        body = {"password": "none"}
        await problem(await http.delete("/users/me", json=body), 403, "sign_in_again")
        await database.sessions.update_one({}, {"$set": {"created_at": session["created_at"]}})
        assert (await http.delete("/users/me", json=body)).status == 202


class TestRefusals:
    async def test_of_another_browser_and_of_a_second_use(
        self, http: HttpClient, person: Person, bob: HttpClient
    ) -> None:
        callback = await person.authorize(await person.begin(), "ann")
        other = await bob.get(callback.relative(), allow_redirects=False)
        assert refused(other) == "sign_in_expired"
        assert (await person.come_back(callback)).headers["Location"] == "/"
        assert refused(await person.come_back(callback)) == "sign_in_expired"

    async def test_of_another_answer(self, person: Person) -> None:
        """Another state, another provider's, a made-up code, or none."""
        callback = await person.authorize(await person.begin(), "ann")
        for state in ("x", "\u00e9", ""):
            assert refused(await person.come_back(callback, state=state)) == "sign_in_expired"
        other = await person.come_back(callback, iss="https://id.example.com")
        assert refused(other) == "invalid_identity"
        unnamed = callback.with_query({k: v for k, v in callback.query.items() if k != "iss"})
        assert refused(await person.come_back(unnamed)) == "invalid_identity"
        assert refused(await person.come_back(callback, code="made-up")) == "invalid_identity"
        denied = callback.with_query(state=callback.query["state"], error="access_denied")
        assert refused(await person.come_back(denied)) == "sign_in_refused"

    async def test_of_a_token_of_another_sign_in(
        self, app: web.Application, http: HttpClient, person: Person
    ) -> None:
        """As if a code of the same provider were put into this browser: the nonce tells."""
        location = URL(await person.begin()).update_query(nonce="another")
        callback = await person.authorize(str(location), "ann")
        assert refused(await person.come_back(callback)) == "invalid_identity"

    async def test_after_ten_minutes(self, person: Person, constants: pytest.MonkeyPatch) -> None:
        callback = await person.authorize(await person.begin(), "ann")
        constants.setattr(cookies, "PATIENCE", timedelta(seconds=-1))
        assert refused(await person.come_back(callback)) == "sign_in_expired"

    async def test_of_an_account_by_its_address_alone(
        self, person: Person, sign_in: SignIn, database: Any
    ) -> None:
        await sign_in("other")
        await database.users.update_one({}, {"$set": {"email_key": "ann@example.org"}})
        assert refused(await person.sign_in("ann")) == "email_in_use"
        assert await database.users.count_documents({}) == 1

    async def test_of_a_closed_account(
        self, http: HttpClient, person: Person, database: Any
    ) -> None:
        await person.sign_in("ann")
        await database.users.update_one({}, {"$set": {"is_active": False}})
        assert refused(await person.sign_in("ann")) == "invalid_credentials"

    async def test_are_audited_without_words_of_the_provider(
        self, person: Person, database: Any
    ) -> None:
        callback = await person.authorize(await person.begin(), "ann")
        denied = callback.with_query(state=callback.query["state"], error="secret words")
        assert refused(await person.come_back(denied)) == "sign_in_refused"
        [entry] = await database.audit_logs.find({"action": "session.login"}).to_list()
        assert (entry["outcome"], entry["code"]) == ("denied", "sign_in_refused")
        assert entry["details"]["reason"] == "other"

    async def test_of_places_elsewhere(self, http: HttpClient) -> None:
        user = "http://localhost:5173@evil.example"
        hosts = ("https://evil.example", "//evil.example", "/\\evil.example", user)
        for place in (*hosts, "x", "/a\nb", "http://[", "http://[x]/"):
            answer = await http.get("/auth/oidc/login", params={"return_to": place})
            assert await wrong_fields(answer) == [["query", "return_to"]], place

    async def test_go_back_to_a_frontend_of_an_allowed_origin(self, person: Person) -> None:
        await person.begin(return_to="http://localhost:5173/start?a=b")
        answer = await person.come_back(URL("http://localhost/auth/oidc/callback?state=x"))
        # Its state is wrong, but the cookie says where the sign-in began.
        location = "http://localhost:5173/start?a=b&problem=sign_in_expired"
        assert answer.headers["Location"] == location


class TestRegistration:
    @pytest.fixture
    def more(self) -> dict[str, Any]:
        return {"registration": False}

    async def test_can_be_closed(self, person: Person) -> None:
        assert refused(await person.sign_in("ann")) == "registration_closed"


class TestLinks:
    async def begin(self, http: HttpClient) -> str:
        answer = await http.post("/auth/oidc/link", json={"return_to": "/settings"})
        assert answer.status == 200, await answer.text()
        location: str = (await answer.json())["location"]
        return location

    async def test_let_a_user_sign_in_either_way(self, http: HttpClient, person: Person) -> None:
        await http.post("/auth/register", json=account("bob") | {"password": PASSWORD})
        log_in = {"username": "bob", "password": PASSWORD}
        await http.post("/auth/login", json=log_in)
        callback = await person.authorize(await self.begin(http), "robert")
        assert (await person.come_back(callback)).headers["Location"] == "/settings"
        bob = await me(http)
        assert (bob["has_password"], bob["has_identity"]) == (True, True)
        again = await http.post("/auth/oidc/link", json={})
        await problem(again, 409, "already_linked")
        await http.post("/auth/logout")
        await person.sign_in("robert")
        assert (await me(http))["id"] == bob["id"]
        shown = await (await http.delete("/auth/oidc/link")).json()
        assert shown["id"] == bob["id"]
        assert (await me(http))["has_identity"] is False

    async def test_are_of_one_account(
        self, http: HttpClient, person: Person, sign_in: SignIn
    ) -> None:
        await person.sign_in("ann")
        await problem(await http.delete("/auth/oidc/link"), 409, "no_password")
        await http.post("/auth/logout")
        bob = await sign_in("bob")
        other = Person(bob)
        callback = await other.authorize(await self.begin(bob), "ann")
        assert refused(await other.come_back(callback), "/settings") == "identity_in_use"
        await other.close()

    async def test_are_of_who_began_them(self, person: Person, sign_in: SignIn) -> None:
        """Not of who is signed in when the browser comes back."""
        bob = await sign_in("bob")
        other = Person(bob)
        callback = await other.authorize(await self.begin(bob), "ann")
        await bob.post("/auth/logout")
        assert refused(await other.come_back(callback), "/settings") == "sign_in_expired"
        await other.close()


class TestLogout:
    async def test_there_ends_the_sessions_here(
        self, http: HttpClient, person: Person, provider: RealProvider
    ) -> None:
        await person.sign_in("ann")
        token = await person.sign_out_there(provider)
        for wrong in (token[:-4] + "AAAA", "", "a.b.c"):
            answer = await http.post("/auth/oidc/backchannel-logout", data={"logout_token": wrong})
            await problem(answer, 422, "invalid_logout_token")
        assert (await http.get("/auth/me")).status == 200
        form = {"logout_token": token}
        assert (await http.post("/auth/oidc/backchannel-logout", data=form)).status == 200
        assert (await http.get("/auth/me")).status == 401


class TestProvider:
    @pytest.fixture
    def more(self) -> dict[str, Any]:
        return {"redirect_uri": "http://127.0.0.1:1/auth/oidc/callback"}

    async def test_answers_503_while_it_cannot_be_reached(
        self, app: web.Application, http: HttpClient
    ) -> None:
        deps = app[OIDC_DEPS]
        assert deps.provider is not None
        away = deps.provider.config.model_copy(update={"issuer": "http://127.0.0.1:1"})
        object.__setattr__(deps.provider, "config", away)
        answer = await http.get("/auth/oidc/login", allow_redirects=False)
        await problem(answer, 503, "identity_provider_unavailable")
