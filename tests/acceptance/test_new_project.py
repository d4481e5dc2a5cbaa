"""A project's first minutes under `fabric-jobs dev`: broken, mended, run and changed."""

from pathlib import Path

from tests.support.command import ANY_PORTS, ready, run, started

REFRESH = ("Contoso.MyWorkload.Item", "refresh")


async def test_a_new_project_s_handlers_run_as_their_code_is_now(tmp_path: Path) -> None:
    """What can't run is told and waited for; what runs goes on in the changed code."""
    await run("new", "my-workload", cwd=tmp_path)
    project = tmp_path / "my-workload"
    code = project / "my_workload.py"
    made = code.read_text()

    code.write_text(f"{made}\ndef broken(:\n")
    soon = {"FABRIC_JOBS_DRAIN_S": "0.2"}
    async with started(
        "dev", "my_workload:executor", *ANY_PORTS, cwd=project, environment=soon
    ) as command:
        await command.until_told("SyntaxError: invalid syntax\n")
        code.write_text(made.replace("    for part", "    print('begun')\n    for part"))
        one = await ready(command)
        await command.until_told(f"fabric-jobs submit {' '.join(REFRESH)} --payload '{{}}'")
        completed = await one.submit(*REFRESH, "--payload", '{"parts": 1}', "--wait")

        running = await one.submit(*REFRESH, "--payload", '{"parts": 600}')
        await command.until_told("begun\n", 2)
        code.write_text(made.replace("# the work", "; job.payload.nothing"))
        await command.until_told("AttributeError: 'Refresh' object has no attribute 'nothing'\n")
        one.process.terminate()
        left = await command.end()

    assert completed.stdout[1:] == ["Completed"]
    assert f"job {running.stdout[0]} attempt 2: AttributeError: " in left.stderr
    assert left.stderr.count(f'File "{code}", line ') == 2
    assert left.exit_code == 0
