"""Users who are signed in without the service: what it would store is inserted."""

import secrets
from datetime import timedelta

from chatvault.accounts.models import User
from chatvault.accounts.sessions import Session, hash_token
from chatvault.accounts.usernames import fold
from chatvault.actor import Role
from chatvault.fields import now
from support.factories import account

# The bcrypt hash of `factories.PASSWORD`, in four rounds.
PASSWORD_HASH = "$2b$04$BY6HH3ZRJMi4UbxoS57SLOMKhHeLYf3eOJyRIoi2nMp8kDD/yf2Nm"


async def insert_user(username: str, role: Role = Role.USER) -> User:
    """Store an account, without an entry in the audit log."""
    new = account(username)
    keys = {"username_key": fold(username), "email_key": fold(new["email"])}
    user = User(**new, **keys, password_hash=PASSWORD_HASH, role=role, created_at=now())
    await user.insert()
    return user


async def open_session(user: User, lifetime: float) -> str:
    """Store a session of the user.

    Args:
        user: its owner.
        lifetime: in seconds.

    Returns:
        The value of its cookie.
    """
    token, at = secrets.token_urlsafe(32), now()
    session = Session(
        user_id=user.id,
        token_hash=hash_token(token),
        role=user.role,
        created_at=at,
        last_seen_at=at,
        expires_at=at + timedelta(seconds=lifetime),
        address="127.0.0.1",
    )
    await session.insert()
    return token
