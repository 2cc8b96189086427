// The user service's process holds loopback connections only: it never talks to anybody but the sidecar beside it, while
// calls of every kind go through the mesh.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCalls } from "../../deploy/demo/calls.ts";
import { startMesh } from "../../deploy/demo/mesh.ts";
import { isLoopback, socketsOf } from "../support/process-sockets.ts";
import { runLong } from "../support/results.ts";

await runLong("loopback-only", async ({ short, say }) => {
  const mesh = await startMesh({ replicas: 2, registry: { kind: "directory" }, progress: say });
  try {
    await mesh.complete();
    const seen = new Map<string, { readonly connections: Set<string>; readonly listeners: Set<string> }>();
    let over = false;
    const looking = (async () => {
      while (!over) {
        for (const { name, application } of mesh.replicas) {
          const known = seen.get(name) ?? { connections: new Set(), listeners: new Set() };
          seen.set(name, known);
          for (const { local, remote, listening } of await socketsOf(application.pid)) {
            assert.ok(isLoopback(local), `${name} has ${local} with ${remote}`);
            assert.ok(listening || isLoopback(remote), `${name} has ${local} with ${remote}`);
            (listening ? known.listeners : known.connections).add(listening ? local : `${local} ${remote}`);
          }
        }
        await sleep(20);
      }
    })();
    const rows = await makeCalls(mesh.outbound, short ? 20 : 500);
    over = true;
    await looking;
    for (const { kind, method, calls, answered, lastError } of rows)
      assert.equal(answered, calls, `${method}, ${kind}: ${lastError}`);
    for (const { name, sidecar } of mesh.replicas) {
      const { connections, listeners } = seen.get(name) ?? { connections: new Set(), listeners: new Set() };
      assert.equal(listeners.size, 1, `${name} listens on ${[...listeners].join(", ")}`);
      assert.ok(connections.size > 0, `${name} had a connection`);
      const ends = await socketsOf(sidecar.pid);
      say(`${name}: ${connections.size} connections, all of loopback; its sidecar holds ${ends.length} sockets`);
    }
    const calls = rows.reduce((sum, row) => sum + row.calls, 0);
    return { calls, connections: [...seen.values()].map(({ connections }) => connections.size) };
  } finally {
    await mesh.stop();
  }
});
