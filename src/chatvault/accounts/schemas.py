"""Accounts as they go over the wire."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chatvault.accounts.usernames import MAX_USERNAME, check_full_name, check_username
from chatvault.actor import Role
from chatvault.fields import Id, Instant

MAX_PASSWORD_BYTES = 1024


def check_password(value: str) -> str:
    """Let 8 characters to 1,024 bytes pass.

    Raises:
        PydanticCustomError: the password is longer than 1,024 bytes.
    """
    if len(value.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise PydanticCustomError("password_too_long", "Password should have at most 1024 bytes")
    return value


NewPassword = Annotated[str, Field(min_length=8), AfterValidator(check_password)]
Password = Annotated[str, Field(min_length=1), AfterValidator(check_password)]
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_USERNAME),
    AfterValidator(check_username),
    # Said here, and checked with the rest above, whose sentences are for people.
    Field(json_schema_extra={"pattern": r"^[^\s\x00@]+$"}),
]
FullName = Annotated[str, Field(max_length=255), AfterValidator(check_full_name)]


class RegisterIn(BaseModel):
    """A new account."""

    model_config = ConfigDict(extra="forbid")

    username: Username
    email: EmailStr
    password: NewPassword
    full_name: FullName | None = None


class PasswordChangeIn(BaseModel):
    """The old password and the new one."""

    model_config = ConfigDict(extra="forbid")

    current_password: Password
    new_password: NewPassword


class PasswordChangeOut(BaseModel):
    """What a changed password brought with it."""

    message: str
    revoked_count: int


class UserOut(BaseModel):
    """An account, without its secrets."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    username: str
    email: str
    full_name: str | None
    role: Role
    is_active: bool
    created_at: Instant
    last_login: Instant | None
