"""Tokens on behalf of the user who started a job, and of the workload itself.

A facade exchanges the user's token when it accepts the job, and keeps what can be refreshed:
sealed, on a topic of its own. The executor that runs the job asks for access tokens.

`client` is not imported here, because it needs the extra `on-behalf-of`.
"""

from fabric_jobs.facade.on_behalf_of.errors import InteractionRequiredError, TokenError
from fabric_jobs.facade.on_behalf_of.grants import Grants
from fabric_jobs.facade.on_behalf_of.on_behalf_of import OnBehalfOf

__all__ = ["Grants", "InteractionRequiredError", "OnBehalfOf", "TokenError"]
