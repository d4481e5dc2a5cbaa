"""Sign-in to the monitor: a token for each role, and a signed cookie for the session."""

import hmac
import logging
import math
import time
from collections.abc import Mapping
from enum import StrEnum
from hashlib import scrypt, sha256
from typing import NamedTuple, Protocol

from fabric_jobs.runtime.settings import Secret

log = logging.getLogger("fabric_jobs.monitor")

#: Seconds that a session lasts after its sign-in.
SESSION_S = 12 * 60 * 60
#: The beginning of a session of a person who signed in at a provider. A token's session has none.
SESSION_PREFIX = "person."
#: Wrong tokens a minute that a replica treats as typing errors. From the next one on, it refuses.
MAX_WRONG_TOKENS = 10
_MINUTE_S = 60


class MonitorRole(StrEnum):
    """What a person may do in the monitor."""

    #: Sees every page.
    READER = "reader"
    #: Sees every page, cancels and retries jobs, and pauses job types.
    OPERATOR = "operator"


class Viewer(NamedTuple):
    """A person at the monitor."""

    role: MonitorRole
    #: Whether the person signed in, and so can sign out.
    signed_in: bool
    #: The person's name; empty after a sign-in by a token, which people share.
    name: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether the person may change something."""
        return self.role is MonitorRole.OPERATOR

    @property
    def description(self) -> str:
        """The text of a page about who is signed in."""
        if not self.signed_in:
            return "No sign-in: you are operator"
        return f"{self.name} ({self.role})" if self.name else f"Signed in as {self.role}"

    @property
    def signature(self) -> str:
        """The name of the person beside a change, for others to read."""
        return f"{self.name} at the monitor" if self.name else "an operator at the monitor"


class TooManyTriesError(Exception):
    """A token is wrong, and more than `MAX_WRONG_TOKENS` were wrong in this minute."""


class PersonalSessions(Protocol):
    """Verifies the sessions of people who signed in at a provider."""

    def viewer(self, session: str) -> Viewer | None:
        """Returns who has a session, or None if it is forged or expired."""


class MonitorAccess:
    """Exchanges tokens for sessions, and verifies sessions.

    A session is signed with a key that is derived from its role's token. It is valid on every
    replica with the same token and after a restart, and it becomes invalid when the token changes.
    """

    def __init__(
        self, tokens: Mapping[MonitorRole, Secret], people: PersonalSessions | None = None
    ) -> None:
        """`people` verifies the sessions of people; None if there are none.

        Without any token and without people, no sign-in is needed and everybody is an operator.
        """
        self._people = people
        self._tokens = {role: _digest(token.reveal()) for role, token in tokens.items()}
        # A slow key derivation, because somebody with a cookie can test tokens against it offline.
        self._keys = {
            role: scrypt(
                token.reveal().encode(), salt=b"fabric-jobs monitor session", n=2**14, r=8, p=1
            )
            for role, token in tokens.items()
        }
        self._wrong, self._wrong_since = 0, -math.inf

    @property
    def is_open(self) -> bool:
        """Whether no sign-in is needed."""
        return not self._tokens and self._people is None

    @property
    def has_tokens(self) -> bool:
        """Whether a token signs in."""
        return bool(self._tokens)

    def sign_in(self, token: str) -> str | None:
        """Returns a new session, or None for a wrong token. Raises `TooManyTriesError`."""
        given = _digest(token)
        for role, digest in self._tokens.items():
            if hmac.compare_digest(given, digest):
                claims = f"{role}.{int(time.time()) + SESSION_S}"
                return f"{claims}.{self._signature(role, claims)}"
        self._count_wrong()
        return None

    def viewer(self, session: str | None) -> Viewer | None:
        """Returns who has a session, or None if the session is missing, forged or expired."""
        if self.is_open:
            return Viewer(MonitorRole.OPERATOR, signed_in=False)
        if session and self._people and session.startswith(SESSION_PREFIX):
            return self._people.viewer(session)
        claims, _, signature = (session or "").rpartition(".")
        name, _, expires = claims.partition(".")
        role = next((role for role in self._keys if role == name), None)
        if role is None or not hmac.compare_digest(
            signature.encode(), self._signature(role, claims).encode()
        ):
            return None
        return Viewer(role, signed_in=True) if time.time() < int(expires) else None

    def _count_wrong(self) -> None:
        now = time.monotonic()
        if now - self._wrong_since >= _MINUTE_S:
            self._wrong, self._wrong_since = 0, now
        self._wrong += 1
        if self._wrong == MAX_WRONG_TOKENS + 1:
            log.warning(
                "more than %d wrong monitor tokens in one minute: somebody may be guessing",
                MAX_WRONG_TOKENS,
            )
        if self._wrong > MAX_WRONG_TOKENS:
            raise TooManyTriesError

    def _signature(self, role: MonitorRole, text: str) -> str:
        return hmac.digest(self._keys[role], text.encode(), "sha256").hex()


def _digest(token: str) -> bytes:
    """Returns a digest whose length does not depend on the token's, for a comparison."""
    return sha256(token.encode()).digest()
