"""The local authority with its token endpoint, and the settings that make programs use it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.token_endpoint import TokenEndpoint, User

TENANT = "c0000000-0000-4000-8000-00000000000a"
#: Seconds that an access token is valid here.
LIFETIME_S = 4


def hash_of(token: str) -> str:
    """The SHA-256 of a token, by which a test recognises it."""
    return hashlib.sha256(token.encode()).hexdigest()


class UserAuthority(Struct):
    """A running authority."""

    issuer: Issuer
    endpoint: TokenEndpoint

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a facade that gets users' tokens here, without its sealing keys."""
        return self.issuer.settings | self.endpoint.settings

    def headers(self, *, subject: bool = True, tenant: str = TENANT) -> dict[str, str]:
        """Fabric's headers, for a user of the tenant or for none."""
        return self.issuer.headers(tenant, subject=subject)

    def user(self, tenant: str = TENANT) -> User:
        """The user of these headers."""
        return User(tenant, self.issuer.subject_claims(tenant)["oid"])

    def tokens_in(self, journal: Path) -> list[str]:
        """The hashes of tokens in a journal, each of which must be of a token from here."""
        known = {hash_of(token) for token in self.endpoint.given}
        found = journal.read_text().split() if journal.exists() else []
        assert set(found) <= known
        return found


@contextmanager
def run_user_authority() -> Iterator[UserAuthority]:
    """Runs an authority whose access tokens live for seconds."""
    with Issuer() as issuer, TokenEndpoint(issuer) as endpoint:
        endpoint.lifetime_s = LIFETIME_S
        yield UserAuthority(issuer, endpoint)
