# syntax=docker/dockerfile:1
# The sidecar: an empty image with one program, the Node that runs it and the libraries that Node needs. No shell.
#
#   docker build -f deploy/image/outrigger.Dockerfile -t outrigger:0.1.0 .
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils ca-certificates libatomic1 nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json package-lock.json ./
COPY services/user/package.json services/user/
RUN npm ci
COPY . .
RUN node_modules/.bin/node deploy/image/rootfs.ts outrigger /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 15001:15001
# inbound, outbound and admin (both on loopback), probe
EXPOSE 15006 15021
ENTRYPOINT ["/usr/bin/outrigger"]
CMD ["run"]
