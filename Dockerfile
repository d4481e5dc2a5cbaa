# One image for three commands: `python -m fabric_jobs.facade`, `python -m fabric_jobs.facade check`
# and `python -m fabric_jobs.executor MODULE:EXECUTOR`.
#
# The base has a tag and no digest, because none could be looked up where this file was written.
# Pin the digest that your registry gives you: --build-arg PYTHON=python@sha256:...
ARG PYTHON=python:3.13-slim

# What the programs need: a layer that changes only with requirements.lock.
FROM ${PYTHON} AS dependencies
WORKDIR /app
# A virtual environment without pip, filled by the pip of another one.
RUN python -m venv --without-pip .venv && python -m venv /build
COPY requirements.lock ./
RUN /build/bin/pip --python .venv/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements.lock

# The wheel: built by locked tools, installed into a folder that holds nothing else.
FROM dependencies AS wheel
COPY requirements-build.lock ./
RUN /build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY proto/fabric_jobs proto/fabric_jobs
COPY runtime runtime
COPY facade facade
COPY executor executor
COPY cli cli
COPY deploy/sbom.py deploy/sbom.py
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /build/bin/pip --python .venv/bin/python install --no-deps --prefix /app/.venv --root /installed /wheel/*.whl \
 && /build/bin/python deploy/sbom.py > /installed/app/sbom.cdx.json

FROM ${PYTHON}
LABEL org.opencontainers.image.title="fabric-jobs" \
      org.opencontainers.image.description="The job service behind a Microsoft Fabric workload" \
      org.opencontainers.image.version="0.1.0"
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH
# Numeric ids: an orchestrator can only verify by number that a user is not root.
RUN rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/bin/pip* \
 && groupadd --gid 10001 fabric-jobs \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fabric-jobs \
 && install -d -m 0700 -o 10001 -g 10001 /state
COPY --from=dependencies /app/.venv .venv
COPY --from=wheel /installed/app ./
USER 10001:10001
# HTTP and gRPC of a facade.
EXPOSE 5000 5001
# Both programs answer /livez: an executor at FABRIC_JOBS_METRICS_ADDRESS, which it then needs.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --start-interval=2s CMD python -c "from urllib.request import urlopen; urlopen('http://${FABRIC_JOBS_METRICS_ADDRESS:-${FABRIC_JOBS_HTTP_ADDRESS:-127.0.0.1:5000}}/livez')"
CMD ["python", "-m", "fabric_jobs.facade"]
