import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { GrpcServer } from "../support/grpc-service.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { startSidecarProcess } from "../support/sidecar-process.ts";
import { connectTo } from "../support/socket-mesh.ts";
import { eventually, inScope } from "../support/with-proxy.ts";
import { call } from "./mtls/mesh.ts";

const linux = { skip: process.platform === "linux" ? false : "the system does not say how many files may be open" };

test(
  "more idle connections than files may be open keep neither probe, admin nor honest callers from being answered",
  linux,
  async () => {
    await inScope(async (scope) => {
      const app = await GrpcServer.start({
        unary: (made: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, made.request),
      });
      scope.onEnd(() => app.stop());
      const sidecar = await startSidecarProcess({ service: { name: "up", address: app.address } }, [], 64);
      scope.onEnd(async () => void (await sidecar.process.stop()));
      const idle: Socket[] = [];
      for (let at = 0; at < 200; at++) idle.push(await connectTo(scope, sidecar.address("inbound")));
      // They are as idle as before while the sidecar is asked.
      const live = await fetch(`http://${sidecar.address("probe")}/live`);
      assert.equal(live.status, 200);
      const refused = async (): Promise<number> => {
        const families = parseMetrics(String(await sidecar.admin("/metrics")));
        const labels = { listener: "inbound", limit: "openFiles" };
        return sampleValue(families, "outrigger_connections_refused_total", labels) ?? 0;
      };
      for (const socket of idle) socket.resume();
      const ended = (): number => idle.filter((socket) => socket.readableEnded || socket.closed).length;
      await eventually(
        () => ended() >= 180,
        () => `${ended()} of 200 ended`,
        20_000,
      );
      assert.ok((await refused()) > 0, "counted");
      await sidecar.process.line(/"listener":"inbound","limit":"openFiles","most":16,.*too many are open/, 10_000);
      // A caller is let in for the one of those who has been silent longest, as soon as those have gone that made room before.
      await eventually(
        async () => (await call(sidecar.address("inbound"))).error === undefined,
        () => "a call that is answered",
        20_000,
      );
    });
  },
);
