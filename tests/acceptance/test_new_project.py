"""A new project under `fabric-jobs dev`: its code is broken, mended, run and changed."""

from pathlib import Path

from tests.support.command import ANY_PORTS, run, start, wait_until_ready

REFRESH = ("Contoso.MyWorkload.Item", "refresh")


async def test_dev_restarts_the_executor_when_the_code_of_a_project_changes(tmp_path: Path) -> None:
    """Code that can't be imported is shown. A running job continues in the changed code. A change
    of a test restarts nothing.
    """
    await run("new", "my-workload", cwd=tmp_path)
    project = tmp_path / "my-workload"
    code = project / "my_workload.py"
    original = code.read_text()

    code.write_text(f"{original}\ndef broken(:\n")
    environment = {"FABRIC_JOBS_DRAIN_S": "0.2"}
    async with start(
        "dev", "my_workload:executor", *ANY_PORTS, cwd=project, environment=environment
    ) as command:
        await command.wait_for_log("SyntaxError: invalid syntax\n")
        code.write_text(original.replace("    for part", "    print('begun')\n    for part"))
        one = await wait_until_ready(command)
        await command.wait_for_log(f"fabric-jobs submit {' '.join(REFRESH)} --payload '{{")
        with (project / "test_my_workload.py").open("a") as tests:
            tests.write("# a change that concerns no handler\n")
        completed = await one.submit(*REFRESH, "--payload", '{"parts": 1}', "--wait")
        await command.wait_for_log(f"refresh {completed.stdout[0][:8]} Completed after")

        running = await one.submit(*REFRESH, "--payload", '{"parts": 600}')
        await command.wait_for_log("begun\n", 2)
        code.write_text(original.replace("# the work", "; job.payload.nothing"))
        await command.wait_for_log("AttributeError: 'Refresh' object has no attribute 'nothing'\n")
        one.process.terminate()
        result = await command.wait()

    assert completed.stdout[1:] == ["Completed"]
    assert result.stderr.count("The code changed") == 2
    assert "ActivityId" not in result.stderr
    assert f"job {running.stdout[0]} attempt 2: AttributeError: " in result.stderr
    assert result.stderr.count(f'File "{code}", line ') == 2
    assert result.exit_code == 0
