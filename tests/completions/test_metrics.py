"""Metrics of the tokens that models use."""

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.factories import begin
from support.fake_model import FakeModel, ScriptedAnswer
from support.metrics import Read


async def test_count_tokens_by_purpose(
    sign_in: SignIn, alice: HttpClient, fake_model: FakeModel
) -> None:
    admin = await sign_in("adam", role=Role.ADMIN)

    async def used(**labels: str) -> float:
        found = Read(await (await admin.get("/metrics")).text())
        return found.get("chatvault_tokens_total", **labels) or 0

    before = [await used(purpose=each) for each in ("completion", "reply")]
    for _ in range(2):
        fake_model.say(ScriptedAnswer(chunks=["Hi", " there"]))
    asked = {"model": "any", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await alice.post("/v1/chat/completions", json=asked)
    usage = (await answer.json())["usage"]
    made = await begin(alice)
    path = f"/conversations/{made['id']}/replies"
    await alice.post(path, json={"content": "Hello"})

    assert await used(purpose="completion") - before[0] == usage["total_tokens"]

    while await used(purpose="reply") == before[1]:
        pass
