# syntax=docker/dockerfile:1
# The user service, which knows nothing of any sidecar.
#
#   docker build -f deploy/image/user.Dockerfile -t outrigger-user:0.1.0 .
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils ca-certificates libatomic1 nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json package-lock.json ./
COPY services/user/package.json services/user/
RUN npm ci
COPY . .
RUN node_modules/.bin/node deploy/image/rootfs.ts user /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 15002:15002
EXPOSE 50051
ENTRYPOINT ["/usr/bin/user"]
