"""The error of a request that is not authentic."""


class AuthError(Exception):
    """The request does not come from Fabric. The message says which check failed."""
