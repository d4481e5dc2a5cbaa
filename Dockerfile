# One image, two commands: `python -m fabric_jobs.facade` and `python -m fabric_jobs.executor MODULE:EXECUTOR`; and the
# command line, for `fabric-jobs check`.
FROM python:3.11-slim AS build
WORKDIR /app
RUN python -m venv .venv
COPY requirements.lock ./
RUN .venv/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY proto/fabric_jobs proto/fabric_jobs
COPY runtime runtime
COPY facade facade
COPY executor executor
COPY cli cli
RUN .venv/bin/pip install --no-deps .

FROM python:3.11-slim
WORKDIR /app
COPY --from=build /app/.venv .venv
ENV PATH=/app/.venv/bin:$PATH
# A number: an orchestrator that demands a user other than root can't tell by a name.
RUN useradd --system --uid 10001 fabric-jobs && install -d -o fabric-jobs /state
USER 10001
CMD ["python", "-m", "fabric_jobs.facade"]
