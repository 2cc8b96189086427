import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startProcess } from "../support/process.ts";
import { requirePart } from "../support/real-parts.ts";

/**
 * Runs h2spec against both listeners of a sidecar, in front of an upstream that answers every request with a body: two of its
 * cases expect DATA, which a gRPC server that sends trailers only never shows. Exits 1 where a case fails.
 */
const ROOT = join(import.meta.dirname, "..", "..");
const BODY = Buffer.alloc(64, "h2spec ");

const upstream = createServer((request, response) => {
  request.resume();
  request.on("end", () => response.end(BODY));
  request.on("error", () => {});
});
upstream.on("sessionError", () => {});
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
const { port } = upstream.address() as AddressInfo;

const config = {
  service: { name: "web", address: `127.0.0.1:${port}`, protocol: "http2", health: "tcp" },
  listeners: { inbound: "127.0.0.1:0", outbound: "127.0.0.1:0", admin: "127.0.0.1:0", probe: "127.0.0.1:0" },
  upstreams: { web: { discovery: "static", endpoints: [`127.0.0.1:${port}`], listen: "127.0.0.1:0" } },
  log: { access: "none" },
  drain: { notice: "0s", grace: "1s" },
};
const sidecar = await startProcess(process.execPath, [join(ROOT, "src/launcher.js"), "run", "-c", "-"], {
  input: JSON.stringify(config),
});
const ready = await sidecar.line(/^outrigger ready .*inbound=\S+:(\d+) .*upstreams\.web=\S+:(\d+)/);
let failed = false;
for (const [listener, at] of [
  ["inbound", ready[1]],
  ["an upstream's own listener", ready[2]],
] as const) {
  process.stdout.write(`\nh2spec against ${listener}\n`);
  const h2spec = spawn(requirePart("h2spec"), ["-h", "127.0.0.1", "-p", String(at), "-o", "5"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  h2spec.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const [code] = await once(h2spec, "close");
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
  const passed = code === 0 && summary !== null && summary[1] === summary[2];
  process.stdout.write(passed ? `${summary[0]}\n` : output.slice(output.indexOf("Failures:")));
  failed ||= !passed;
}
await sidecar.stop();
upstream.close();
process.exitCode = failed ? 1 : 0;
