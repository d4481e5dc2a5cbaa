"""SubjectAndApp authentication: verifies that the caller is Fabric, and for which tenant it calls.

This room makes every check of Fabric's contract. A request normally needs no network: the
authority's keys are kept, and a verified pair of tokens is remembered until the first one expires.
"""

from fabric_jobs.facade.auth.authenticator import Authenticator, Caller
from fabric_jobs.facade.auth.errors import AuthError
from fabric_jobs.facade.auth.keys import AuthorityError, Keys
from fabric_jobs.facade.auth.tokens import Trust

__all__ = ["AuthError", "Authenticator", "AuthorityError", "Caller", "Keys", "Trust"]
