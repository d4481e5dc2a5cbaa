"""SubjectAndApp authentication: who calls, and for which tenant.

Every check of Fabric's contract is made here, with no network on the hot path: the authority's keys
are held, and a pair of tokens that was verified once is remembered until the earlier one expires.
"""

from fabric_jobs.facade.auth.authenticator import Authenticator, Caller
from fabric_jobs.facade.auth.errors import AuthError
from fabric_jobs.facade.auth.keys import AuthorityError, Keys
from fabric_jobs.facade.auth.tokens import Trust

__all__ = ["AuthError", "Authenticator", "AuthorityError", "Caller", "Keys", "Trust"]
