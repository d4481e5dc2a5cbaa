"""An access token, as the authority gave it."""

from msgspec import Struct

from fabric_jobs.runtime.settings import Secret


class Token(Struct, frozen=True, kw_only=True):
    """An access token, with the refresh token that came with it."""

    access_token: Secret
    #: When the access token was requested, and when it expires, by this facade's clock, in seconds
    #: since 1970. A monotonic clock stands still while the machine is suspended.
    given_at: float
    expires_at: float
    #: None for a token of the workload itself.
    refresh_token: Secret | None = None
