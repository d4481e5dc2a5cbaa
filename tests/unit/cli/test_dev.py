"""What `fabric-jobs dev` tells a person."""

import shlex

from cli.dev import next_steps

URL = "http://127.0.0.1:5000/workload"


def lines(url: str, grpc: str, *, example: bool) -> tuple[list[str], list[str]]:
    """The words of the two commands that it proposes."""
    submit, curl = (
        shlex.split(line)
        for line in next_steps(url, grpc, example=example).splitlines()
        if line.startswith("  ")
    )
    return submit, curl


def test_the_default_addresses_need_no_options() -> None:
    """The line is as short as it can be."""
    submit, curl = lines(URL, "127.0.0.1:5001", example=True)

    assert submit[:4] == [
        "fabric-jobs",
        "submit",
        "Contoso.FinanceAnalytics.Forecast",
        "calculateForecast",
    ]
    assert submit[4:] == ["--payload", '{"priority": "high"}', "--wait"]
    assert curl[-1].startswith(f"{URL}/workspaces/")


def test_other_addresses_are_named() -> None:
    """The line works as it is printed."""
    submit, _ = lines("http://127.0.0.1:7/workload", "127.0.0.1:8", example=True)

    assert submit[-4:] == ["--http", "http://127.0.0.1:7/workload", "--grpc", "127.0.0.1:8"]


def test_a_user_s_own_handlers_are_for_the_user_to_name() -> None:
    """Their types aren't known here."""
    submit, _ = lines(URL, "127.0.0.1:5001", example=False)

    assert submit[2:4] == ["ITEM_TYPE", "JOB_TYPE"]
