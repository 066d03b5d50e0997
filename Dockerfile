# The image of every Penstock process: `docker run penstock:local worker`, `node`, `topics create` …
# Two stages: what is needed to install stays in the first. Packages are held to the hashes of the lock files.

FROM python:3.13.7-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/penstock
COPY requirements/runtime.txt requirements/build.txt requirements/

# One package has no wheel for Linux on ARM: there, and only there, it is built from its hashed source.
RUN set -eu; \
    if [ "$(uname -m)" = aarch64 ]; then \
        apt-get update -qq; \
        apt-get install -qq --yes --no-install-recommends gcc libc6-dev; \
        from_source="--no-binary faust-streaming"; \
    fi; \
    /opt/penstock/bin/pip install --require-hashes --only-binary :all: ${from_source:-} \
        -r requirements/runtime.txt; \
    python -m venv /opt/build; \
    /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt

COPY pyproject.toml LICENSE README.md ./
COPY schemas schemas
COPY streams streams
COPY agents agents
COPY infra infra
COPY policies policies
# The wheel is built by the pinned tools, and installed with what is there already.
RUN set -eu; \
    /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir dist .; \
    /opt/penstock/bin/pip install --no-deps --no-index dist/*.whl


FROM python:3.13.7-slim-bookworm

ENV PATH=/opt/penstock/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root; a new volume takes its owner from the directory.
RUN groupadd --gid 10001 penstock \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/penstock penstock \
    && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/penstock
COPY --from=build /opt/penstock /opt/penstock
USER 10001:10001
WORKDIR /var/lib/penstock
STOPSIGNAL SIGTERM
ENTRYPOINT ["penstock"]
CMD ["--help"]
