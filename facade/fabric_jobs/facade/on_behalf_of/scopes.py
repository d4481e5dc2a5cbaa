"""The scopes for which no access token can be asked."""

#: Scopes of OpenID Connect, which belong to no resource. MSAL adds them itself, and refuses them.
RESERVED_SCOPES = ("offline_access", "openid", "profile")


def find_reserved_scope(scope: str) -> str:
    """Returns the first reserved scope among the scopes of a text; an empty text if none is."""
    return next((name for name in scope.split() if name.lower() in RESERVED_SCOPES), "")
