"""`fabric-jobs jobs events`: errors before the topic can be read."""

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import JOB, StubFacade, job


def test_events_without_kafka_is_an_error_of_one_line(stub: StubFacade) -> None:
    """The error says how to name the facade's Kafka."""
    stub.answer = lambda _: pb.GetJobResponse(job=job())
    result = stub.run("jobs", "events", JOB, "--kafka", "127.0.0.1:1")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: Kafka at 127.0.0.1:1 gave no answer (KafkaConnectionError). Name the facade's "
        "Kafka with --kafka; the first line of `fabric-jobs dev` shows it.\n"
    )


def test_events_without_a_job_id_is_exit_code_2_and_sends_nothing(stub: StubFacade) -> None:
    """The error says what is missing."""
    result = stub.run("jobs", "events")

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert stub.requests == []
