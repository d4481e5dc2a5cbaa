"""The cost of the log in creates and of the fold in polls, compared with routes without them."""

from bench import load
from bench.ground import Ground, instances
from bench.report import Series

#: Seconds of load before the measurement.
WARM_UP_S = 2


async def accept_vs_bare(ground: Ground) -> dict[str, Series]:
    """Measure creates per second, with and without the log."""
    series, headers, seconds = Series(), ground.headers, ground.effort.seconds
    async with ground.facade(ground.topic()) as ours, ground.bare() as bare:
        pair = [instances(one, "nothing") for one in (ours, bare)]
        for url in pair:
            await load.creates(url, headers, WARM_UP_S)
        for _ in range(ground.effort.rounds):
            with_log, without = [await load.creates(url, headers, seconds) for url in pair]
            series.add(
                with_log.rate / without.rate,
                accepted_per_s=with_log.rate,
                bare_per_s=without.rate,
                p50_ms=with_log.p50_ms,
                p99_ms=with_log.p99_ms,
            )
    return {"accept_vs_bare": series}


async def poll_vs_empty(ground: Ground) -> dict[str, Series]:
    """Measure polls per second of waiting jobs, and of a constant answer."""
    series, headers, seconds = Series(), ground.headers, ground.effort.seconds
    salt = load.fresh()
    async with ground.facade(ground.topic()) as ours, ground.bare() as bare:
        pair = [instances(one, "nothing") for one in (ours, bare)]
        created = await load.creates(pair[0], headers, WARM_UP_S, salt=salt)
        # Creates in flight at the load's end may be missing; none of them is in the first half.
        known = created.answers // 2
        for url in pair:
            await load.polls(url, headers, WARM_UP_S, salt=salt, known=known)
        for _ in range(ground.effort.rounds):
            folded, constant = [
                await load.polls(url, headers, seconds, salt=salt, known=known) for url in pair
            ]
            series.add(
                folded.rate / constant.rate,
                polls_per_s=folded.rate,
                constant_per_s=constant.rate,
                p99_ms=folded.p99_ms,
            )
    return {"poll_vs_empty": series}
