"""`python -m tests.support.skewed_facade`: a facade whose clock is SKEWED_FACADE_HOURS ahead.

The clock is right again once the file exists that SKEWED_FACADE_RIGHT names. Only the facade's own
modules have the wrong clock: libraries, such as those for Kafka, have no part in what is tested.
"""

import os
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from fabric_jobs.facade.__main__ import main

RIGHT = Path(os.environ["SKEWED_FACADE_RIGHT"])
AHEAD = timedelta(hours=float(os.environ["SKEWED_FACADE_HOURS"]))


class SkewedDatetime(datetime):
    """A `datetime` whose present is wrong."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """Returns the time on the wrong clock."""
        return datetime.now(tz) + (timedelta() if RIGHT.exists() else AHEAD)


def skew() -> None:
    """Gives the wrong clock to every module of the facade that reads the time."""
    for name, module in sys.modules.items():
        if name.startswith("fabric_jobs.facade.") and getattr(module, "datetime", None) is datetime:
            module.datetime = SkewedDatetime  # type: ignore[attr-defined]


if __name__ == "__main__":
    skew()
    sys.exit(main())
