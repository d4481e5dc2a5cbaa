"""What the log costs a create, and the fold a poll: against the same routes with nothing behind."""

from bench import load
from bench.ground import Ground, instances
from bench.report import Series

#: Seconds of load before anything is measured.
WARM_UP_S = 2


async def accept_vs_bare(ground: Ground) -> dict[str, Series]:
    """Creates accepted a second, with the log and without."""
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
    """Polls answered a second: of jobs that wait, and with a constant."""
    series, headers, seconds = Series(), ground.headers, ground.effort.seconds
    salt = load.fresh()
    async with ground.facade(ground.topic()) as ours, ground.bare() as bare:
        pair = [instances(one, "nothing") for one in (ours, bare)]
        created = await load.creates(pair[0], headers, WARM_UP_S, salt=salt)
        # What was under way when the load ended may not be there; it is not among the first half.
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
