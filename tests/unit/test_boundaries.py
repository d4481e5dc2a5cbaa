"""Who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
#: Programs of their own that `cli` starts by name or copies, and never imports: they may use the
#: executor's API.
STARTED = {
    "cli.example": {"executor"},
    "cli.template.my_workload": {"executor"},
    "cli.template.test_my_workload": {"executor"},
}


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


def sources(package: str) -> Iterator[tuple[str, ast.Module]]:
    """Each module of a package: its dotted name and its syntax tree."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
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


def crossing(package: str, forbidden: set[str]) -> dict[str, set[str]]:
    """The modules of a package that import what they may not, with what they import."""
    crossed: dict[str, set[str]] = {}
    modules = 0
    for name, tree in sources(package):
        modules += 1
        wrong = packages(imports(tree)) & (forbidden - STARTED.get(name, set()))
        if wrong:
            crossed[name] = wrong
    assert modules > 1, f"no sources of {package} were found"
    return crossed


def test_the_lifecycle_loads_nothing_that_reaches_outside() -> None:
    """No loop, no socket, no database and no framework comes with `facade.lifecycle`."""
    modules = loaded("import facade.lifecycle")
    assert "facade.lifecycle.decide" in modules
    assert packages(modules) & OUTSIDE == set()


def test_the_lifecycle_imports_only_the_contract_and_pure_modules() -> None:
    """Its sources name no clock and no randomness either, and nothing else of the facade."""
    allowed = {"collections", "datetime", "enum", "fabric_jobs", "facade", "msgspec", "typing"}
    for name, tree in sources("facade/lifecycle"):
        named = imports(tree)
        assert packages(named) <= allowed | {"zlib"}, name
        ours = {module for module in named if module.startswith("facade")}
        assert all(module.startswith("facade.lifecycle") for module in ours), name
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert used & {"now", "utcnow", "today"} == set(), name


def test_the_contract_loads_neither_program() -> None:
    """`fabric_jobs` stands below facade, executor and cli."""
    modules = packages(
        loaded("import fabric_jobs.events, fabric_jobs.topics, fabric_jobs.settings")
    )
    assert modules & {"facade", "executor", "cli", "litestar"} == set()
    assert crossing("proto/fabric_jobs", {"facade", "executor", "cli", "litestar"}) == {}


def test_an_executor_loads_neither_the_facade_nor_its_framework() -> None:
    """Who writes a handler installs the base only: no web framework, no server."""
    modules = packages(loaded("import executor, executor.testing"))
    assert modules & {"facade", "cli", "litestar", "uvicorn", "sqlite3", "confluent_kafka"} == set()


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("facade", {"executor", "cli"}),
        ("executor", {"facade", "cli", "litestar", "uvicorn"}),
        ("cli", {"facade", "executor"}),
    ],
)
def test_the_programs_never_import_each_other(package: str, forbidden: set[str]) -> None:
    """They meet in the contract, on the topic and over gRPC; the command starts the others."""
    assert crossing(package, forbidden) == {}


def test_a_program_that_the_command_starts_is_imported_by_none_of_its_modules() -> None:
    """What may use the executor's API there is a program, not a part of the command."""
    for name, tree in sources("cli"):
        assert imports(tree) & STARTED.keys() == set(), name
    assert "executor" not in packages(loaded("import cli.main"))
    assert "facade" not in packages(loaded("import cli.main"))


def test_the_contracts_folder_is_no_package() -> None:
    """An `__init__.py` in `proto/` would shadow proto-plus, whose package has that name."""
    assert (ROOT / "proto" / "fabric_jobs" / "__init__.py").exists()
    assert not (ROOT / "proto" / "__init__.py").exists()
