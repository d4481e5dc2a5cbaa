"""Why a caller is not who it says."""


class AuthError(Exception):
    """The request is not Fabric's; the message says which check failed."""
