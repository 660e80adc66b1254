"""Granting tools at the command line."""

import pytest

from support.commanding import Command, Documents


class TestTools:
    def test_can_be_granted_and_revoked(self, command: Command, documents: Documents) -> None:
        allowed = command(
            *("tools", "allow", "lab__echo", "--role", "user", "--role", "admin"),
            *("--auto-approve", "admin"),
        )
        listed = command("tools", "list")
        denied = command("tools", "deny", "lab__echo")

        assert (allowed.status, denied.status) == (0, 0)
        assert allowed.out.strip() == "lab__echo: user, admin, auto-approval by admin."
        assert listed.out.split() == [
            "tool", "roles", "auto-approval", "lab__echo", "user,", "admin", "admin",
        ]  # fmt: skip
        assert documents.tool_grants.count_documents({}) == 0
        entries = documents.audit_logs.find({"action": "tool.grant"}).sort("at", 1).to_list()
        assert [(each["door"], each["details"]["roles"]) for each in entries] == [
            ("cli", "user,admin"), ("cli", ""),
        ]  # fmt: skip
        assert documents.audit_logs.count_documents({"action": "tool.list"}) == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ("allow", "no name", "--role", "user"),
            ("allow", "lab__echo"),
            ("allow", "lab__echo", "--role", "king"),
            ("allow", "lab__echo", "--role", "admin", "--auto-approve", "user"),
            ("deny", "x" * 65),
        ],
    )
    def test_report_errors_in_one_line(
        self, command: Command, documents: Documents, arguments: tuple[str, ...]
    ) -> None:
        refused = command("tools", *arguments)

        assert refused.status == 2
        assert documents.tool_grants.count_documents({}) == 0
