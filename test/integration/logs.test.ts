import assert from "node:assert/strict";
import { test } from "node:test";
import { complaints } from "../support/elastic-mapping.ts";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { startSidecarProcess } from "../support/sidecar-process.ts";

function unary(address: string, authority: string): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = testService.unary;
  const client = grpcClient(address, authority);
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.from("x"), (error) => {
      client.close();
      resolve(error?.code ?? 0);
    });
  });
}

test("every line of a real sidecar fits the index template, from its start over calls and faults to its end", async (t) => {
  const app = await GrpcServer.start({
    unary: (_call: unknown, done: (error: null, answer: Buffer) => void) => done(null, Buffer.from("y")),
  });
  t.after(() => app.stop());
  const endpoints = (...addresses: string[]) => ({ discovery: "static", endpoints: addresses });
  const sidecar = await startSidecarProcess({
    service: { name: "app", address: app.address },
    upstreams: {
      up: endpoints(app.address),
      gone: endpoints("127.0.0.1:1"),
      flaky: endpoints("127.0.0.1:1", app.address),
    },
    log: { level: "debug", format: "ecs", access: "all" },
  });
  t.after(() => sidecar.process.kill());
  const outbound = sidecar.address("outbound");
  assert.equal(await unary(outbound, "up"), 0);
  assert.equal(await unary(sidecar.address("inbound"), "whoever"), 0);
  assert.equal(await unary(outbound, "flaky"), 0);
  assert.equal(await unary(outbound, "gone"), 14);
  assert.equal(await unary(outbound, "no.such.name"), 12);
  await fetch(`http://${sidecar.address("admin")}/log-level`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"level":"trace"}',
  });
  await sidecar.process.stop();
  const lines = sidecar.process.stderr().trim().split("\n");
  const documents: { readonly event: { readonly dataset: string; readonly outcome?: string } }[] = lines.map((line) =>
    JSON.parse(line),
  );
  const found = documents.flatMap((document, at) =>
    complaints(document).map((complaint) => `${complaint} in ${lines[at]}`),
  );
  assert.deepEqual(found, []);
  const calls = documents.filter(({ event }) => event.dataset === "outrigger.access");
  assert.deepEqual(
    calls.map(({ event }) => event.outcome),
    ["success", "success", "success", "failure", "failure"],
  );
  assert.ok(documents.length > calls.length);
});
