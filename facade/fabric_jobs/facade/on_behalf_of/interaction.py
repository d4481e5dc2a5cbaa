"""What a user has to do before the authority gives a token, in Fabric's terms."""

from collections.abc import Sequence

from fabric_jobs.contract.errors import ErrorExtendedInformation, NameValuePair
from fabric_jobs.facade.on_behalf_of.errors import Interaction

INTERACTION_MESSAGE = (
    "The user must consent or sign in again before a job can act on the user's behalf."
)
#: Fabric's name of the claims, and the vendor's own spelling of it.
_CLAIMS_NAMES = ("claimsForConditionalAccessPolicy", "claimsForCondtionalAccessPolicy")


def interaction_details(interaction: Interaction) -> ErrorExtendedInformation:
    """The first of `moreDetails`, from which Fabric's front end makes its request to the user."""
    values = interaction_values(interaction)
    return ErrorExtendedInformation(
        error_code=interaction.error,
        message=interaction.message,
        additional_parameters=tuple(NameValuePair(name, value) for name, value in values),
    )


def interaction_values(interaction: Interaction) -> Sequence[tuple[str, str]]:
    """The names and values of what the front end needs."""
    values = [("additionalScopesToConsent", ", ".join(interaction.scopes))]
    if interaction.claims:
        values += [(name, interaction.claims) for name in _CLAIMS_NAMES]
    return values
