"""Who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator

from tests.support.paths import ROOT

#: What owns a socket, a file, a loop or a framework: no business of a pure lifecycle.
OUTSIDE = {
    "aiokafka",
    "anyio",
    "asyncio",
    "confluent_kafka",
    "grpc",
    "http",
    "httpx",
    "litestar",
    "multiprocessing",
    "selectors",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "uvicorn",
}
#: The source roots, and the part of `fabric_jobs` that each holds.
ROOTS = ("proto", "runtime", "facade", "executor", "cli")
#: The parts that import no other part but these.
BELOW = {
    "contract": {"status"},
    "status": set[str](),
    "runtime": {"contract", "status"},
    "facade": {"contract", "status", "runtime"},
    "executor": {"contract", "status", "runtime"},
    "cli": {"contract", "status", "runtime"},
}
#: Programs that the command line starts by name or copies, and never imports: these use the
#: executor's API.
STARTED = {
    "fabric_jobs.cli.example",
    "fabric_jobs.cli.template.my_workload",
    "fabric_jobs.cli.template.test_my_workload",
}
#: What an executor's author need not install.
SERVERS = {"litestar", "uvicorn", "sqlite3", "confluent_kafka"}


def loaded(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after the statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """The top-level packages of the modules."""
    return {module.partition(".")[0] for module in modules}


def parts(modules: set[str]) -> set[str]:
    """The parts of `fabric_jobs` that the modules belong to."""
    return {module.split(".")[1] for module in modules if module.startswith("fabric_jobs.")}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Each module of the product: its dotted name and its syntax tree."""
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            words = path.relative_to(ROOT / root).with_suffix("").parts
            name = ".".join(words[:-1] if words[-1] == "__init__" else words)
            yield name, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> set[str]:
    """The modules that a source names in an import anywhere, also inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_lifecycle_imported_loads_no_module_that_does_io() -> None:
    """`fabric_jobs.facade.lifecycle` loads no event loop, socket, database or framework."""
    modules = loaded("import fabric_jobs.facade.lifecycle")
    assert "fabric_jobs.facade.lifecycle.decide" in modules
    assert packages(modules) & OUTSIDE == set()


def test_lifecycle_sources_import_only_the_contract_and_pure_modules() -> None:
    """The lifecycle's sources name no clock, no randomness and nothing else of the facade."""
    allowed = {"collections", "datetime", "enum", "fabric_jobs", "msgspec", "typing", "zlib"}
    names = 0
    for name, tree in sources():
        if not name.startswith("fabric_jobs.facade.lifecycle"):
            continue
        names += 1
        named = imports(tree)
        assert packages(named) <= allowed, name
        ours = {module for module in named if module.startswith("fabric_jobs.")}
        assert all(
            module.startswith(("fabric_jobs.facade.lifecycle", "fabric_jobs.contract"))
            for module in ours
        ), name
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert used & {"now", "utcnow", "today"} == set(), name
    assert names > 1


def test_contract_imported_loads_no_client_and_no_program() -> None:
    """The contract is types, names and keys: it loads no Kafka client, no gRPC and no settings."""
    names = ["events", "failures", "guids", "heartbeats", "jobs", "topics", "wire"]
    modules = loaded("; ".join(f"import fabric_jobs.contract.{name}" for name in names))
    assert parts(modules) == {"contract", "status"}
    assert packages(modules) & {"aiokafka", "grpc", "litestar", "opentelemetry"} == set()


def test_executor_imported_loads_neither_facade_nor_servers() -> None:
    """An author of handlers installs the base alone: no web framework, no server."""
    modules = loaded("import fabric_jobs.executor, fabric_jobs.executor.testing")
    assert parts(modules) <= BELOW["executor"] | {"executor"}
    assert packages(modules) & SERVERS == set()


def test_part_of_the_namespace_imports_only_the_parts_below_it() -> None:
    """Facade, executor and command line meet in the contract, on the topic and over gRPC."""
    seen = set[str]()
    for name, tree in sources():
        part = name.split(".")[1]
        seen.add(part)
        if name not in STARTED:
            assert parts(imports(tree)) - {part} <= BELOW[part], name
    assert seen == set(BELOW)


def test_program_that_the_command_line_starts_is_imported_by_none_of_its_modules() -> None:
    """A module that uses the executor's API there is a program, not a part of the command line."""
    for name, tree in sources():
        assert imports(tree) & STARTED == set(), name
    assert parts(loaded("import fabric_jobs.cli.main")) & {"facade", "executor"} == set()


def test_root_of_the_namespace_holds_no_package_file() -> None:
    """`fabric_jobs` is a namespace: an `__init__.py` at one root would hide the other roots."""
    for root in ROOTS:
        assert (ROOT / root / "fabric_jobs").is_dir()
        assert not (ROOT / root / "__init__.py").exists()
        assert not (ROOT / root / "fabric_jobs" / "__init__.py").exists()


def test_test_modules_and_conftests_are_imported_by_no_module() -> None:
    """What several tests share lies in `tests/support`."""
    for path in sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]):
        for module in imports(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            rooms = module.split(".")
            if rooms[0] == "tests":
                assert "conftest" not in rooms, path
                assert not any(room.startswith("test_") for room in rooms), path
