# Images: server, worker (CPU), worker-cuda (never built, never on a GPU: docs/deploy.md), cli.
#
#   docker build --target server -t jenner-server:0.1.0 .
#   python3 tests/images [--base debootstrap]      # builds all but worker-cuda and runs docker-compose.yml once
#
# BASE is any Debian 12. Pin it by digest where it matters: --build-arg BASE=docker.io/library/debian@sha256:...
ARG BASE=docker.io/library/debian:12.11-slim

# ---- What building needs, before the sources: a change of those downloads nothing again.
FROM ${BASE} AS tools
# The libraries of wheels lie here, in the images too: the programs look for them at this path.
ENV JENNER_CACHE=/opt/jenner
WORKDIR /src
# No more than `tools/setup --build` runs.
COPY tools/setup tools/report-packages tools/rust-archive tools/
COPY tools/lib tools/lib
COPY tools/setup.d tools/setup.d
COPY client/report/package.json client/report/package-lock.json client/report/
COPY worker/text/rust worker/text/rust
RUN tools/setup --build && apt-get install -y -qq --no-install-recommends ccache
COPY . .

FROM tools AS build
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release \
 && cmake --build --preset release --target jenner jenner-server jenner-worker jenner-trainer jenner-export
RUN cd build/release/bin \
 && /src/deploy/docker/stage /stage/cli jenner \
 && /src/deploy/docker/stage /stage/server jenner-server \
 && /src/deploy/docker/stage /stage/worker jenner-worker jenner-trainer jenner-export

FROM tools AS build-cuda
RUN tools/setup --build --cuda-run
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset cuda \
 && cmake --build --preset cuda --target jenner-worker jenner-trainer jenner-export jenner_cuda
RUN cd build/cuda/bin \
 && /src/deploy/docker/stage --all-wheels /stage/worker-cuda jenner-worker jenner-trainer jenner-export libjenner_cuda.so

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
WORKDIR /var/lib/jenner

FROM runtime AS cli
COPY --from=build /stage/cli/packages /tmp/packages
RUN apt-get update && xargs -a /tmp/packages apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build /stage/cli/root /
USER 10001:10001
ENTRYPOINT ["jenner"]

FROM runtime AS server
COPY --from=build /stage/server/packages /tmp/packages
# curl, for jenner-ready.
RUN apt-get update && xargs -a /tmp/packages apt-get install -y --no-install-recommends curl \
 && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build /stage/server/root /
COPY deploy/docker/jenner-ready deploy/docker/jenner-pki /usr/local/bin/
USER 10001:10001
EXPOSE 7070 9464
# JENNER_SERVER and, with TLS, JENNER_CA say where and how (127.0.0.1:7070 in plaintext without).
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["jenner-ready"]
ENTRYPOINT ["jenner-server"]

FROM runtime AS worker
COPY --from=build /stage/worker/packages /tmp/packages
RUN apt-get update && xargs -a /tmp/packages apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build /stage/worker/root /
USER 10001:10001
ENTRYPOINT ["jenner-worker"]

# Needs NVIDIA's container toolkit and a driver for CUDA 13 on the host. Some 5 GB.
FROM runtime AS worker-cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /stage/worker-cuda/packages /tmp/packages
RUN apt-get update && xargs -a /tmp/packages apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build-cuda /stage/worker-cuda/root /
USER 10001:10001
ENTRYPOINT ["jenner-worker"]
