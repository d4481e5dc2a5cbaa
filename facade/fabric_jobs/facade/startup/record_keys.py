"""Which record keys the records of the events topic need, as far as a sample of it shows."""

from collections import Counter

from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log import CodeVerdict, RecordCodes
from fabric_jobs.runtime.settings import variable


class KeyUsage:
    """Counts, for each key, the records of a sample that have a code of it."""

    def __init__(self, codes: RecordCodes) -> None:
        self._codes = codes
        self._records = 0
        #: By the id of a key of the ring: the records with a right code of it, and those that have
        #: no right code of another key.
        self._right = Counter[str]()
        self._needed = Counter[str]()
        #: By the id of a key: the records that have a code of it, and none of a key of the ring.
        self._missing = Counter[str]()
        self._without = 0
        self._wrong = 0

    def add(self, record: ConsumerRecord) -> None:
        """Counts a record."""
        self._records += 1
        right = self._codes.right_keys(record)
        self._right.update(right)
        if len(right) == 1:
            self._needed.update(right)
        if right:
            return
        if self._codes.verify(record) is CodeVerdict.NONE:
            self._without += 1
        elif missing := self._codes.foreign_keys(record):
            self._missing.update(missing)
        else:
            self._wrong += 1

    @property
    def is_complete(self) -> bool:
        """Whether each record that needs a code has a right one of the ring."""
        is_refused = self._without and not self._codes.accepts(CodeVerdict.NONE)
        return not (self._missing or self._wrong or is_refused)

    def describe(self) -> str:
        """Sentences on lines of their own: the first says what was found, the others what to do."""
        if not self._records:
            return "the topic has no records"
        keys = ", ".join(f"{key} on {self._right[key]}" for key in self._codes.key_ids)
        lines = [f"of the oldest and newest {self._records} records, right codes by {keys}"]
        if self._missing:
            ids = ", ".join(sorted(self._missing))
            lines.append(
                f"{variable('record_keys')} lacks keys: records have codes by {ids} alone, and "
                "are skipped. Add the keys, unless they became known to others."
            )
        if self._wrong:
            lines.append(f"{self._wrong} records have wrong codes only, and are skipped.")
        if self._without:
            fate = "taken" if self._codes.accepts(CodeVerdict.NONE) else "skipped"
            lines.append(f"{self._without} records have no code, and are {fate}.")
        for key in self._codes.key_ids:
            if not self._right[key]:
                lines.append(f"No record has a code by {key}: it is new, or can be removed.")
            elif not self._needed[key]:
                lines.append(f"No record needs {key}: each has a right code by another key.")
        return "\n".join(lines)
