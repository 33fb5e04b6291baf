# The server, behind a proxy that speaks TLS; its ledger in a volume. docs/how-to/run-a-server.md says more.
#   docker build -t imeiflow .
#   docker run --rm -it --entrypoint imeiflow -v imeiflow:/var/lib/imeiflow imeiflow user create NAME --role admin    once
#   docker run -d --stop-timeout 630 -p 127.0.0.1:8080:8080 -v imeiflow:/var/lib/imeiflow --env-file accounts.env \
#     imeiflow --public-url https://flow.example.com

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements/lock.txt requirements/lock.txt
COPY pyproject.toml README.md LICENSE ./
# What the lock file pins, by its hashes; of it only what the program itself needs.
RUN python -m venv /tool && /tool/bin/pip install "uv>=0.9,<1" \
 && /tool/bin/uv venv /opt/imeiflow \
 && /tool/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes \
      --constraint requirements/lock.txt pyproject.toml -o runtime.txt \
 && VIRTUAL_ENV=/opt/imeiflow /tool/bin/uv pip install --require-hashes -r runtime.txt
COPY src src
RUN VIRTUAL_ENV=/opt/imeiflow /tool/bin/uv pip install --no-deps --compile-bytecode .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="imeiflow" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 imeiflow \
 && useradd --system --uid 10001 --gid imeiflow --home-dir /var/lib/imeiflow --shell /usr/sbin/nologin imeiflow \
 && install -d -o imeiflow -g imeiflow -m 0700 /var/lib/imeiflow
COPY --from=build /opt/imeiflow /opt/imeiflow
ENV PATH=/opt/imeiflow/bin:$PATH IMEIFLOW_HOME=/var/lib/imeiflow PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/imeiflow
VOLUME ["/var/lib/imeiflow"]
EXPOSE 8080
# Lets calls that place orders end, each within total_timeout_s (600); give it time (--stop-timeout): what is killed
# becomes unconfirmed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8080/healthz', headers={'host': 'localhost'}), timeout=4)"]
ENTRYPOINT ["imeiflow", "serve", "--host", "0.0.0.0", "--port", "8080", "--log-format", "json", "--log-to", "stderr"]
