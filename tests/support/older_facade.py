"""`python -m tests.support.older_facade`: a facade of the version before cancels.

It serves as today's does, but has never heard of `CancelRequested`: don't ask it for one.
"""

import sys
from functools import reduce
from operator import or_

import msgspec

from fabric_jobs.contract import events

events.KnownEvent = reduce(
    or_, (kind for kind in events.KnownEvent.__args__ if kind is not events.CancelRequested)
)
events._Types.union = msgspec.json.Decoder(events.KnownEvent)
del events._Types.known[str(events.CancelRequested.__struct_config__.tag)]

from fabric_jobs.facade.__main__ import main  # noqa: E402 - it must not see the later contract

if __name__ == "__main__":
    sys.exit(main())
