"""SubjectAndApp authentication: who calls, and for which tenant.

Every check of Fabric's contract is made here, with no network on the hot path: the authority's keys
are held, and a pair of tokens that was verified once is remembered until the earlier one expires.
"""

from facade.auth.authenticator import Authenticator, Caller
from facade.auth.errors import AuthError
from facade.auth.keys import AuthorityError, Keys
from facade.auth.tokens import Trust

__all__ = ["AuthError", "Authenticator", "AuthorityError", "Caller", "Keys", "Trust"]
