"""`chatvault users erase` and `chatvault users erasures`."""

from support.commanding import Command, Documents


def make(command: Command) -> None:
    made = command("users", "create", "alice", "--email", "a@example.com", "--generate")
    assert made.status == 0, made.err


class TestErase:
    def test_closes_the_account_and_lists_the_erasure(
        self, command: Command, documents: Documents
    ) -> None:
        make(command)

        done = command("users", "erase", "alice", "--yes")

        assert done.status == 0, done.err
        erasure = documents["erasures"].find_one()
        assert erasure is not None
        assert str(erasure["_id"]) in done.out
        account = documents["users"].find_one()
        assert account is not None
        assert (account["is_active"], account["erasure"]) == (False, erasure["_id"])
        entry = documents["audit_logs"].find_one({"action": "user.erase"})
        assert entry is not None
        assert (entry["door"], entry["resource_id"]) == ("cli", str(account["_id"]))
        listed = command("users", "erasures")
        assert str(erasure["_id"]) in listed.out
        assert "removing" in listed.out

    def test_asks_first(self, command: Command, documents: Documents) -> None:
        make(command)

        failed = command("users", "erase", "alice")

        assert failed.status == 2
        assert "--yes" in failed.line
        assert documents["erasures"].find_one() is None

    def test_refuses_who_is_not_there(self, command: Command) -> None:
        assert command("users", "erase", "nobody", "--yes").status == 1

    def test_refuses_an_account_for_programs(self, command: Command) -> None:
        command("users", "create", "robot", "--service")

        failed = command("users", "erase", "robot", "--yes")

        assert failed.status == 1
        assert "for programs" in failed.line
