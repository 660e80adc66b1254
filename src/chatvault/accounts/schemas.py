"""Request and response schemas of accounts."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from chatvault.accounts.usernames import MAX_USERNAME, check_full_name, check_username, fold
from chatvault.actor import Role
from chatvault.cursors import decode_name_cursor
from chatvault.fields import Id, Instant, Raw

MAX_PASSWORD_BYTES = 1024
# A character that no name contains, and that sorts after all that names contain.
LAST_CHARACTER = "\U0010ffff"


def check_password(value: str) -> str:
    """Return the password; raise unless it has 8 characters to 1,024 bytes.

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
    # Documented here; checked above, with messages for people.
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
    """The result of changing a password."""

    message: str
    revoked_count: int


class UserOut(BaseModel):
    """An account, without its secrets.

    Attributes:
        has_password: whether its user can sign in with a password.
        has_identity: whether they can sign in with the identity provider.
    """

    model_config = ConfigDict(from_attributes=True)

    id: Id
    username: str
    email: str
    full_name: str | None
    role: Role
    is_active: bool
    created_at: Instant
    last_login: Instant | None
    has_password: bool
    has_identity: bool


class UsersQuery(BaseModel):
    """A page of accounts, in the order of their names."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[
        str, Field(max_length=MAX_USERNAME, description="how the username begins, in any case")
    ] = ""
    role: Role | None = None
    is_active: bool | None = None
    cursor: Annotated[
        Any,
        BeforeValidator(decode_name_cursor),
        Field(description="where the page before ended", json_schema_extra={"type": "string"}),
    ] = None
    limit: int = Field(50, ge=1, le=1000)

    def to_query(self) -> Raw:
        """Return the filters and the page in MongoDB's words."""
        prefix = fold(self.name.strip())
        names = {"$gte": prefix, "$lt": prefix + LAST_CHARACTER}
        if self.cursor is not None:
            names["$gt"] = self.cursor
        query: Raw = {"username_key": names}
        if self.role is not None:
            query["role"] = self.role.value
        if self.is_active is not None:
            query["is_active"] = self.is_active
        return query


class AdminUserOut(BaseModel):
    """An account as administrators see it."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    username: str
    full_name: str | None
    role: Role
    is_active: bool
    is_service: bool = Field(description="whether it is for programs, with API keys alone")
    created_at: Instant
    last_login: Instant | None
