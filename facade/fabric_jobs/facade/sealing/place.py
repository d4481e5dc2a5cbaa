"""The place of a job's secrets: seals there, and opens what can be opened."""

from fabric_jobs.facade.sealing.errors import SealedError
from fabric_jobs.facade.sealing.sealer import Purpose, Sealer


class Place:
    """The secrets of one job."""

    def __init__(self, sealer: Sealer, tenant_id: str, job_id: str) -> None:
        self._sealer = sealer
        self._tenant_id = tenant_id
        self._job_id = job_id
        #: Why the first text that `try_open` could not open stayed sealed; None if there was none.
        self.failure: SealedError | None = None

    @property
    def sentence(self) -> str:
        """What stands for a text that stays sealed."""
        return f"The text is sealed. {self.failure}"

    def seal(self, purpose: Purpose, plain: bytes) -> str:
        """Returns the sealed text."""
        return self._sealer.seal(purpose, self._tenant_id, self._job_id, plain)

    def open(self, purpose: Purpose, sealed: str) -> bytes:
        """Returns what was sealed. Raises `UnknownKeyError` and `DamagedError`."""
        return self._sealer.open(purpose, self._tenant_id, self._job_id, sealed)

    def try_open(self, purpose: Purpose, sealed: str) -> bytes | None:
        """Returns what was sealed; None if it can't be opened, and `failure` says why."""
        try:
            return self.open(purpose, sealed)
        except SealedError as error:
            self.failure = self.failure or error
            return None

    def open_text(self, purpose: Purpose, sealed: str) -> str:
        """Returns the text that was sealed, or a sentence that says why it stays sealed."""
        plain = self.try_open(purpose, sealed)
        return self.sentence if plain is None else plain.decode()
