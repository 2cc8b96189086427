# syntax=docker/dockerfile:1
# What redirects a pod's traffic to its sidecar and ends: the sidecar's program, Node, and nft. No shell.
#
#   docker build -f deploy/image/outrigger-capture.Dockerfile -t outrigger-capture:0.1.0 .
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils ca-certificates libatomic1 nftables nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json package-lock.json ./
COPY services/user/package.json services/user/
RUN npm ci
COPY . .
RUN node_modules/.bin/node deploy/image/rootfs.ts outrigger-capture /rootfs

FROM scratch
COPY --from=build /rootfs /
# Kubernetes gives capabilities to root only; NET_ADMIN is all that it needs.
USER 0:0
ENTRYPOINT ["/usr/bin/outrigger"]
CMD ["capture"]
