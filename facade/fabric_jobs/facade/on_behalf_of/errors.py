"""Why the authority gave no token."""

from collections.abc import Sequence

from msgspec import Struct


class Interaction(Struct, frozen=True, kw_only=True):
    """What the authority wants of the user before it gives a token."""

    #: The authority's code, such as `interaction_required`.
    error: str
    #: The authority's text, which begins with a code such as `AADSTS65001`.
    message: str
    #: The scopes that the user has to consent to.
    scopes: Sequence[str]
    #: The claims of a conditional access policy, as JSON; empty if there are none.
    claims: str = ""


class TokenError(Exception):
    """The authority gave no token. The text says why, and contains no token."""


class InteractionRequiredError(TokenError):
    """The user must consent, sign in again, or use a second factor."""

    def __init__(self, interaction: Interaction) -> None:
        super().__init__(interaction.message)
        self.interaction = interaction


class TokenRefusedError(TokenError):
    """The authority refuses what the facade asks for: its secret, its certificate, or the scope."""


class AuthorityAwayError(TokenError):
    """The authority can't be reached, or asks for patience. A later try may succeed."""


class NoGrantError(TokenError):
    """The job came without a user's token."""

    def __init__(self, retry_of: str | None) -> None:
        """`retry_of` is the job that this one takes the place of; None if there is none."""
        cause = (
            f"It starts the content of the job {retry_of} again, and no user's token came with that"
            " request. Start the job in Fabric, so that it comes with a user's token."
            if retry_of
            else "The request that created it had no user's token, as that of a schedule may have, "
            "or on-behalf-of was off then. Start the job by hand, let "
            "FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED name its invoke type, or use the workload's own "
            "token."
        )
        super().__init__(f"The job has no user to act for. {cause}")


class GrantMissingError(TokenError):
    """What was kept of the user's consent is gone: it was deleted, or it is too old."""

    def __init__(self) -> None:
        super().__init__("The user's grant is no longer on the grants topic. Start the job again.")
