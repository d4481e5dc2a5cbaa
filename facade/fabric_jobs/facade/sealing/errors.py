"""Why a sealed text can't be opened."""


class SealedError(Exception):
    """A sealed text can't be opened; the error's text is a sentence that says why."""

    #: The label of the metric of unopened secrets.
    reason = "damaged"


class UnknownKeyError(SealedError):
    """The ring has no key with the id that the sealed text names."""

    reason = "unknown_key"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"It is sealed with the key {key_id}, which this facade does not have.")
        self.key_id = key_id


class DamagedError(SealedError):
    """The text is not what a holder of the key sealed for this purpose of this job."""
