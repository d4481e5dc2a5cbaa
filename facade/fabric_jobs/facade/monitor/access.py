"""Who may see the monitor: two secrets, and the signed cookie that stands for one of them."""

import hmac
import logging
import math
import time
from collections.abc import Mapping
from enum import StrEnum
from hashlib import scrypt, sha256

from fabric_jobs.runtime.settings import Secret

log = logging.getLogger("fabric_jobs.monitor")

#: Seconds for which a sign-in holds.
SESSION_S = 12 * 60 * 60
#: Wrong secrets a minute that a replica takes for mistakes.
MAX_WRONG_TOKENS = 10
_MINUTE_S = 60


class MonitorRole(StrEnum):
    """What somebody may do."""

    READER = "reader"
    #: Also cancel jobs.
    OPERATOR = "operator"


class TooManyTriesError(Exception):
    """A secret is wrong, as were too many before it within a minute."""


class MonitorAccess:
    """Takes secrets for sessions.

    A session is signed by a key that comes from its role's secret: it is good on every replica
    that has the same, outlives a restart, and ends when the secret is changed.
    """

    def __init__(self, secrets: Mapping[MonitorRole, Secret]) -> None:
        """Without any secret, whoever comes is an operator."""
        self._secrets = {role: _digest(secret.reveal()) for role, secret in secrets.items()}
        # Slow on purpose: who has a cookie could else try secrets on it as fast as hashes go.
        self._keys = {
            role: scrypt(
                secret.reveal().encode(), salt=b"fabric-jobs monitor session", n=2**14, r=8, p=1
            )
            for role, secret in secrets.items()
        }
        self._wrong, self._wrong_since = 0, -math.inf

    @property
    def is_open(self) -> bool:
        """Whether nobody has to sign in."""
        return not self._secrets

    def sign_in(self, secret: str) -> str | None:
        """A new session, or none for a wrong secret. Raises `TooManyTriesError`."""
        given = _digest(secret)
        for role, digest in self._secrets.items():
            if hmac.compare_digest(given, digest):
                said = f"{role}.{int(time.time()) + SESSION_S}"
                return f"{said}.{self._signature(role, said)}"
        self._count_wrong()
        return None

    def role(self, session: str | None) -> MonitorRole | None:
        """Whose session it is; none where it is over or not ours."""
        if self.is_open:
            return MonitorRole.OPERATOR
        said, _, signature = (session or "").rpartition(".")
        name, _, until = said.partition(".")
        role = next((role for role in self._keys if role == name), None)
        if role is None or not hmac.compare_digest(
            signature.encode(), self._signature(role, said).encode()
        ):
            return None
        return role if time.time() < int(until) else None

    def _count_wrong(self) -> None:
        now = time.monotonic()
        if now - self._wrong_since >= _MINUTE_S:
            self._wrong, self._wrong_since = 0, now
        self._wrong += 1
        if self._wrong == MAX_WRONG_TOKENS + 1:
            log.warning(
                "more than %d wrong tokens came in a minute: who guesses?", MAX_WRONG_TOKENS
            )
        if self._wrong > MAX_WRONG_TOKENS:
            raise TooManyTriesError

    def _signature(self, role: MonitorRole, text: str) -> str:
        return hmac.digest(self._keys[role], text.encode(), "sha256").hex()


def _digest(secret: str) -> bytes:
    """Of one length, whatever the secret's is."""
    return sha256(secret.encode()).digest()
