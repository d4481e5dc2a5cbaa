"""Go code is generated from the .proto, and compiles. Needs Go, and its module proxy at first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fabric_jobs.status.v1.job_status_pb2 import DESCRIPTOR
from tests.support.paths import ROOT
from tests.support.requirements import missing

PROTO = "fabric_jobs/status/v1/job_status.proto"
PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
}
#: The runtime that the generated code needs.
RUNTIME = "google.golang.org/grpc@v1.76.0"


def run(folder: Path, *command: str) -> None:
    """Runs a command, which must succeed."""
    environment = os.environ | {"GOBIN": str(folder / "bin"), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_go_code_of_the_proto_compiles_in_a_new_module(tmp_path: Path) -> None:
    """The .proto's `go_package` is what protoc-gen-go asks for."""
    if not shutil.which("go"):
        missing("Go", "no go on PATH: install Go 1.24 or later")
    for module in PLUGINS.values():
        run(tmp_path, "go", "install", module)
    plugins = [f"--plugin={name}={tmp_path / 'bin' / name}" for name in PLUGINS]
    out = [f"--go_out={tmp_path}", f"--go-grpc_out={tmp_path}"]
    protoc = (sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}")
    run(tmp_path, *protoc, *plugins, *out, PROTO)

    run(tmp_path, "go", "mod", "init", "fabricjobs")
    run(tmp_path, "go", "get", RUNTIME)
    run(tmp_path, "go", "vet", "./...")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("go_package", "fabricjobs/status/v1;statusv1"),
        ("java_package", "fabricjobs.status.v1"),
        ("java_multiple_files", True),
        ("csharp_namespace", "FabricJobs.Status.V1"),
    ],
)
def test_proto_names_the_package_of_each_language(option: str, value: object) -> None:
    """A change would break the imports of every generated client."""
    proto = FileDescriptorProto()
    DESCRIPTOR.CopyToProto(proto)
    assert getattr(proto.options, option) == value
