"""What `fabric-jobs dev` tells a person."""

import shlex

from fabric_jobs.cli.dev.run import next_steps

EXAMPLE = ("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
URL = "http://127.0.0.1:5000/workload"
GRPC = "127.0.0.1:5001"
AUTHORITY = "http://127.0.0.1:5002"


def lines(
    url: str = URL, grpc: str = GRPC, authority: str = AUTHORITY, *, kind: tuple[str, str] = EXAMPLE
) -> tuple[list[str], list[str], list[str]]:
    """The words of the three commands that it proposes."""
    submit, curl, listing = (
        shlex.split(line)
        for line in next_steps(url, grpc, authority, kind, None).splitlines()
        if line.startswith("  ")
    )
    return submit, curl, listing


def test_the_default_addresses_need_no_options() -> None:
    """The lines are as short as they can be."""
    submit, curl, listing = lines()

    assert submit[:2] == ["fabric-jobs", "submit"]
    assert submit[2:4] == ["Contoso.FinanceAnalytics.Forecast", "calculateForecast"]
    assert submit[4:] == ["--payload", '{"priority": "high"}', "--wait"]
    assert curl[:4] == ["fabric-jobs", "token", "|", "curl"]
    assert curl[-1].startswith(f"{URL}/workspaces/")
    assert listing == ["fabric-jobs", "jobs", "list"]


def test_other_addresses_are_named() -> None:
    """The lines work as they are printed."""
    url, grpc, authority = "http://127.0.0.1:7/workload", "127.0.0.1:8", "http://127.0.0.1:9"
    submit, curl, listing = lines(url, grpc, authority)

    assert submit[-6:] == ["--http", url, "--grpc", grpc, "--authority", authority]
    assert curl[:5] == ["fabric-jobs", "token", "--authority", authority, "|"]
    assert curl[-1].startswith(f"{url}/workspaces/")
    assert listing[-2:] == ["--grpc", grpc]


def test_the_monitor_is_named_where_there_is_one() -> None:
    """As a terminal makes a link of it."""
    monitor = "http://127.0.0.1:5000/monitor"

    assert monitor in next_steps(URL, GRPC, AUTHORITY, EXAMPLE, monitor).split()
    assert "browser" not in next_steps(URL, GRPC, AUTHORITY, EXAMPLE, None)


def test_a_user_s_own_handlers_are_named_as_a_shell_takes_them() -> None:
    """Whatever is in their names; what their payload holds isn't known here."""
    submit, curl, _ = lines(kind=("My Item", "it's"))

    assert submit[2:6] == ["My Item", "it's", "--payload", "{}"]
    assert "/items/My%20Item/" in curl[-1]
