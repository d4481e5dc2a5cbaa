# Everything a newcomer needs: `make demo` and `make test`. Both install what they use into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test containers chaos simulate fuzz bench unit coverage check proto docs pictures lock build clean

demo: .venv/ready  ## the main job, on the embedded broker
	$(BIN)/fabric-jobs demo

# Most tests wait for programs that they started, so three files run at a time on two cores. Files
# start in their order, and not by their number of tests: the acceptance tests take longest.
test: .venv/ready  ## every test; what needs a tool that is missing is skipped, and says so
	$(BIN)/pytest -q -ra -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

containers: .venv/ready  ## the image and the compose files on a real container engine; needs root
	tests/containers/engine.sh $(BIN)/python -u -m tests.containers $(ARGS)

chaos: .venv/ready  ## faults on the real programs, judged afterwards: tests/chaos/README.md
	$(BIN)/python -m tests.chaos $(ARGS)

simulate: .venv/ready  ## the real code in simulated worlds, from a seed: tests/simulation/README.md
	$(BIN)/python -m tests.simulation $(ARGS)

fuzz: .venv/ready  ## hostile inputs to the running programs: tests/fuzz/README.md
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: .venv/ready .venv-bench/ready  ## what is measured, against its peers: docs/performance.md
	@$(BIN)/python -m bench $(ARGS)

unit: .venv/ready  ## the tests that need no network
	$(BIN)/pytest -q tests/unit

coverage: .venv/ready  ## lines and branches of the product that the unit tests run
	$(BIN)/pytest -q tests/unit --cov --cov-report=term:skip-covered $(ARGS)

check: .venv/ready  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

proto: .venv/ready  ## regenerate the gRPC code from the .proto files
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=proto --pyi_out=proto \
	  --grpc_python_out=proto fabric_jobs/status/v1/job_status.proto \
	  fabric_jobs/status/v1/replica.proto

docs: .venv/ready  ## write the generated files anew: settings, bounds, AsyncAPI, JSON Schema, PrometheusRule
	$(BIN)/python docs/settings.py
	$(BIN)/python docs/bounds.py
	$(BIN)/python docs/asyncapi.py
	$(BIN)/python deploy/kubernetes/rules.py

pictures: .venv/ready  ## write the pictures of the job monitor in docs/ anew, with the installed Chromium
	FABRIC_JOBS_TEST_PICTURES=1 $(BIN)/pytest -q tests/browser/test_layout.py -k pictures

lock: .venv/ready  ## write the locks anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --all-extras --group dev -c requirements.lock \
	  pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" --group build -c requirements-dev.lock \
	  -o requirements-build.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" bench/requirements.in -o bench/requirements.lock

build: .venv/ready  ## the wheel and the source distribution, in dist/; everything it needs is in .venv
	$(BIN)/hatchling build -d dist

clean:
	rm -rf .venv .venv-bench

# pip checks every hash of the lock; the project itself is installed without looking further.
.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fabric-jobs needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name a newer Python: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.13" % sys.version_info[:2])'
	@echo "Installing the packages of requirements-dev.lock into .venv. This happens once, and takes about a minute."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Installed."
	@touch $@

# The peers, which the product neither needs nor ships.
.venv-bench/ready: bench/requirements.lock
	@echo "Installing the peers of bench/requirements.lock into .venv-bench. This happens once, and takes about a minute."
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r bench/requirements.lock
	touch $@
