# One image, two commands: `python -m facade` and `python -m executor MODULE:EXECUTOR`.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY proto/fabric_jobs proto/fabric_jobs
COPY facade facade
COPY executor executor
COPY cli cli
RUN pip install --no-cache-dir --no-deps .

RUN useradd --system fabric-jobs && mkdir /state && chown fabric-jobs /state
USER fabric-jobs
CMD ["python", "-m", "facade"]
