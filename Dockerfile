# One image for both commands, runscrape and runscrape-proxy:
#   docker build -t localhost/runscrape:0.2.0 .
# For a build that can be repeated, pin the base by digest too:
#   --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md ./
# Without pip in it: the finished environment cannot install anything more. Every file that comes
# from the registry is one whose hash requirements.lock has.
RUN python -m venv --without-pip /opt/runscrape \
 && python -m pip --python /opt/runscrape/bin/python install --no-cache-dir --disable-pip-version-check \
      --only-binary=:all: --require-hashes --requirement requirements.lock
COPY generator generator
COPY proxy proxy
COPY templates templates
RUN python -m pip --python /opt/runscrape/bin/python install --no-cache-dir --disable-pip-version-check \
      --no-deps --no-index --no-build-isolation . \
 && python -m pip --python /opt/runscrape/bin/python uninstall --yes --root-user-action=ignore setuptools

FROM ${PYTHON_IMAGE}
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="runscrape" \
      org.opencontainers.image.description="Let Prometheus scrape Google Cloud Run services that require authentication." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-bookworm"
# The base brings pip, and in ensurepip another one to install; nothing here needs them any more.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
 && python -c "import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])"
COPY --from=build /opt/runscrape /opt/runscrape
# No bytecode and no home folder are written: the root may be read-only, /tmp a tmpfs.
ENV PATH=/opt/runscrape/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 7777
# For the proxy; whoever runs the generator in it sets a check of its own or none.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:7777/-/healthy', timeout=3)"]
CMD ["runscrape-proxy"]
