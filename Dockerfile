# Images: server, worker (CPU), worker-cuda (never ran on a GPU: docs/deploy.md), cli, bridge.
#
#   docker build --target server -t jenner-server:0.1.0 .
#   python3 tests/images [--base debootstrap] [--cuda]      # builds them, and runs docker-compose.yml
#
# BASE is any Debian 12. Pin it by digest where it matters: --build-arg BASE=docker.io/library/debian@sha256:...
ARG BASE=docker.io/library/debian:12.11-slim

# ---- What building needs, before the sources: a change of those downloads nothing again.
FROM ${BASE} AS tools
ENV JENNER_CACHE=/opt/jenner
WORKDIR /src
# No more than `tools/setup --build` runs.
COPY tools/setup tools/report-packages tools/rust-archive tools/
COPY tools/lib tools/lib
COPY tools/setup.d tools/setup.d
COPY client/report/package.json client/report/package-lock.json client/report/
COPY worker/text/rust worker/text/rust
RUN tools/setup --build && apt-get install -y -qq --no-install-recommends ccache

FROM tools AS build
COPY . .
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release \
 && cmake --build --preset release --target shipped
RUN for component in cli server worker; do \
      deploy/docker/stage build/release $component /stage/$component || exit 1; \
    done

FROM tools AS build-cuda
RUN tools/setup --build --cuda-run
COPY . .
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release -D JENNER_CUDA=ON \
 && cmake --build --preset release --target shipped
RUN deploy/docker/stage build/release worker /stage/worker-cuda

FROM tools AS build-bridge
COPY . .
RUN "$(tools/python-env python-client)/venv/bin/python" client/python/tools/build_wheel.py client/python /build
RUN python3 -m pip install --require-hashes --only-binary=:all: --target /stage/bridge/root/opt/bridge \
      -r deploy/kubernetes/requirements.txt \
 && python3 -m pip install --no-index --no-deps --target /stage/bridge/root/opt/bridge /build/dist/*.whl \
 && install -D -m 755 deploy/kubernetes/bridge.py /stage/bridge/root/usr/local/bin/jenner-bridge \
 && install -d /stage/bridge/root/usr/local/share/jenner \
 && python3 -m pip list --path /stage/bridge/root/opt/bridge --format freeze \
  | sed -E 's,(.*)==(.*),pkg:pypi/\L\1@\2,' >/stage/bridge/root/usr/local/share/jenner/components

# ---- What all images are. The root may be mounted read-only: only /var/lib/jenner and /tmp are written.
FROM ${BASE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Jenner" \
      org.opencontainers.image.description="A training service for inoculation prompting studies" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/jenner --shell /usr/sbin/nologin jenner \
 && install -d -m 0700 -o jenner -g jenner /var/lib/jenner
COPY deploy/docker/install-packages /usr/local/sbin/
WORKDIR /var/lib/jenner

FROM runtime AS cli
COPY --from=build /stage/cli/packages /usr/local/share/jenner/packages
RUN install-packages /usr/local/share/jenner/packages
COPY --from=build /stage/cli/root /
USER 10001:10001
ENTRYPOINT ["jenner"]

FROM runtime AS server
COPY --from=build /stage/server/packages /usr/local/share/jenner/packages
# curl, for jenner-ready.
RUN install-packages /usr/local/share/jenner/packages curl
COPY --from=build /stage/server/root /
COPY deploy/docker/jenner-ready deploy/docker/jenner-pki /usr/local/bin/
USER 10001:10001
EXPOSE 7070 9464
# JENNER_SERVER and, with TLS, JENNER_CA say where and how (127.0.0.1:7070 in plaintext without).
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["jenner-ready"]
ENTRYPOINT ["jenner-server"]

FROM runtime AS worker
COPY --from=build /stage/worker/packages /usr/local/share/jenner/packages
RUN install-packages /usr/local/share/jenner/packages
COPY --from=build /stage/worker/root /
USER 10001:10001
ENTRYPOINT ["jenner-worker"]

# Needs NVIDIA's container toolkit and a driver for CUDA 13 on the host. 4 GB.
FROM runtime AS worker-cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /stage/worker-cuda/packages /usr/local/share/jenner/packages
RUN install-packages /usr/local/share/jenner/packages
COPY --from=build-cuda /stage/worker-cuda/root /
USER 10001:10001
ENTRYPOINT ["jenner-worker"]

# For Kubernetes only: docs/deploy.md. Python, unlike the others.
FROM runtime AS bridge
RUN install-packages /dev/null python3
ENV PYTHONPATH=/opt/bridge PYTHONDONTWRITEBYTECODE=1
COPY --from=build-bridge /stage/bridge/root /
USER 10001:10001
ENTRYPOINT ["jenner-bridge"]
