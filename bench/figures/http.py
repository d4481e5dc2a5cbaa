"""The cost of the log in creates and of the fold in polls, compared with routes without them."""

from bench import load
from bench.ground import Ground, instances
from bench.report import Series

#: Seconds of load before the measurement.
WARM_UP_S = 2


async def accepts(ground: Ground) -> dict[str, Series]:
    """Measure creates per second: ours, with one send instead of the log, and with nothing."""
    vs_floor, vs_bare = Series(), Series()
    headers, seconds = ground.headers, ground.effort.seconds
    # The floor creates no topic.
    floor_topic = await ground.make_topic()
    async with (
        ground.facade(ground.topic()) as ours,
        ground.floor(floor_topic) as floor,
        ground.bare() as bare,
    ):
        urls = [instances(one, "nothing") for one in (ours, floor, bare)]
        for url in urls:
            await load.creates(url, headers, WARM_UP_S)
        for _ in range(ground.effort.rounds):
            us, one_send, nothing = [await load.creates(url, headers, seconds) for url in urls]
            vs_floor.add(
                us.rate / one_send.rate,
                accepted_per_s=us.rate,
                floor_per_s=one_send.rate,
                floor_p50_ms=one_send.p50_ms,
            )
            vs_bare.add(
                us.rate / nothing.rate,
                accepted_per_s=us.rate,
                bare_per_s=nothing.rate,
                p50_ms=us.p50_ms,
                p99_ms=us.p99_ms,
            )
    return {"accept_vs_floor": vs_floor, "accept_vs_bare": vs_bare}


async def poll_vs_empty(ground: Ground) -> dict[str, Series]:
    """Measure polls per second of waiting jobs, and of a constant answer."""
    headers, salt = ground.headers, load.fresh()
    async with ground.facade(ground.topic()) as ours, ground.bare() as bare:
        pair = [instances(one, "nothing") for one in (ours, bare)]
        created = await load.creates(pair[0], headers, WARM_UP_S, salt=salt)
        # Creates in flight at the load's end may be missing; none of them is in the first half.
        series = await _polls_against_constant(ground, pair, salt, created.answers // 2)
    return {"poll_vs_empty": series}


async def poll_held_vs_empty(ground: Ground) -> dict[str, Series]:
    """Measure polls per second of running and of ended jobs, and of a constant answer.

    A poll of a job that runs reads the log to its end; the final state of a job that has ended is
    answered from the fold.
    """
    headers, topic, figures = ground.headers, ground.topic(), dict[str, Series]()
    async with (
        ground.facade(topic) as ours,
        ground.bare() as bare,
        ground.executor(topic, ours),
    ):
        for name, job_type in (
            ("poll_running_vs_empty", "waiting"),
            ("poll_ended_vs_empty", "nothing"),
        ):
            salt, pair = load.fresh(), [instances(one, job_type) for one in (ours, bare)]
            # About 80 jobs, which the executor's 100 slots hold.
            created = await load.creates(pair[0], headers, 1, salt=salt, connections=4, pause_ms=50)
            known = created.answers // 2
            figures[name] = await _polls_against_constant(ground, pair, salt, known)
    return figures


async def _polls_against_constant(ground: Ground, pair: list[str], salt: str, known: int) -> Series:
    """Measure polls of the first `known` jobs, at the facade and at the bare routes."""
    series, headers, seconds = Series(), ground.headers, ground.effort.seconds
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
    return series
