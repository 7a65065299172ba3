"""API keys and JSONWeb tokens, as a Supabase project has them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import jwt

ALGORITHM = "HS256"
TEN_YEARS = 10 * 365 * 86400
HOUR = 3600


def _legacy(secret: str, role: str) -> str:
    now = int(time.time())
    claims = {"iss": "supabase", "role": role, "iat": now, "exp": now + TEN_YEARS}
    return jwt.encode(claims, secret, ALGORITHM)


@dataclass(frozen=True)
class Keys:
    """The keys of one project: those of today, and the older ones that are tokens."""

    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    anon_key: str = field(
        default_factory=lambda: f"sb_publishable_{secrets.token_urlsafe(22)}"
    )
    service_key: str = field(
        default_factory=lambda: f"sb_secret_{secrets.token_urlsafe(22)}"
    )
    legacy_anon_key: str = field(init=False)
    legacy_service_key: str = field(init=False)

    def __post_init__(self) -> None:
        """Sign the older keys."""
        tokens = {"anon": "legacy_anon_key", "service_role": "legacy_service_key"}
        for role, name in tokens.items():
            object.__setattr__(self, name, _legacy(self.jwt_secret, role))

    def token_of(self, key: str) -> str | None:
        """Give the token that an API key stands for; None: it is none of ours."""
        return {
            self.anon_key: self.legacy_anon_key,
            self.service_key: self.legacy_service_key,
            self.legacy_anon_key: self.legacy_anon_key,
            self.legacy_service_key: self.legacy_service_key,
        }.get(key)

    def user_token(
        self,
        user_id: UUID | str | None = None,
        *,
        expires_in: float = HOUR,
        secret: str | None = None,
        **claims: Any,
    ) -> str:
        """Sign in a user: a token as Supabase Auth gives it.

        ``claims`` come on top, also of ``role``; another ``secret`` makes a forgery.
        """
        now = int(time.time())
        said = {
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(user_id or uuid4()),
            "iat": now - HOUR,
            "exp": int(now + expires_in),
            "session_id": str(uuid4()),
            "is_anonymous": False,
            **claims,
        }
        return jwt.encode(said, secret or self.jwt_secret, ALGORITHM)
