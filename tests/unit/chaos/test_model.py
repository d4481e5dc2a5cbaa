"""The model's one number for each job."""

import json

from tests.support.chaos_story import ENDED, JOB, Story, event


def test_model_keeps_applied_events_in_order() -> None:
    """Events that lost a race are counted and change nothing."""
    job = Story().model().jobs[JOB]

    assert [one.type for one in job.applied] == [
        "requested",
        "started",
        "requeued",
        "started",
        "progressed",
        "completed",
    ]
    assert (job.number, job.event_id, job.lost, job.final) == (6, "e6", 1, True)
    assert job.state["status"] == "Completed"


def test_event_after_the_final_event_is_a_complaint_and_is_not_applied() -> None:
    """This holds also for an event with the next sequence number."""
    story = Story()
    story.events.append(event("failed", 7, "e6", **ENDED, status="Failed"))
    job = story.model().jobs[JOB]

    assert job.behind_final == ["failed 7"]
    assert job.state["status"] == "Completed"


def test_duplicate_after_the_final_event_is_no_complaint() -> None:
    """A late copy of the last event, or of an earlier one, is normal."""
    story = Story()
    story.events += [story.events[-1], story.events[0]]
    job = story.model().jobs[JOB]

    assert (job.lost, job.behind_final, job.forks) == (3, [], [])


def test_event_that_follows_another_than_the_last_is_a_fork() -> None:
    """The next sequence number alone does not make an event the next one."""
    story = Story()
    story.events[6]["data"]["follows"] = "loser"
    job = story.model().jobs[JOB]

    assert len(job.forks) == 1
    assert job.number == 5


def test_event_in_another_partition_is_a_fork() -> None:
    """A job's events are in one partition, because only a partition has an order."""
    story = Story()
    last = story.events.pop()
    model = story.model()
    model.read(1, 0, json.dumps(last).encode())

    assert len(model.jobs[JOB].forks) == 1
    assert not model.jobs[JOB].final


def test_record_that_is_no_event_is_a_complaint_with_its_offset() -> None:
    """The value is no JSON, no envelope, or missing."""
    model = Story().model()
    for offset, value in enumerate((b"{", b"[]", b"{}", None)):
        model.read(3, offset, value)

    assert [text.partition(":")[0] for text in model.poison] == [
        f"partition 3 offset {offset}" for offset in range(4)
    ]
