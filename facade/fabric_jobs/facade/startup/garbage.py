"""When Python looks for reference cycles: seldom, since requests and records leave hardly any."""

import gc

#: New objects between two looks at the youngest, looks between two at the next older, and of these
#: between two at all. With Python's own (700, 10, 10), a fifth of a facade's time goes by in it.
THRESHOLDS = (50_000, 20, 10)


def collect_seldom() -> None:
    """Sets it for the process; what is there by now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
