import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { audit, judge } from "../../deploy/audit.ts";

const root = join(import.meta.dirname, "..", "..");
const BULK = "/-/npm/v1/security/advisories/bulk";

/** What npm makes of a registry that answers so. */
async function asked(t: TestContext, listener: RequestListener) {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return await audit(root, [`--registry=http://127.0.0.1:${port}/`, "--fetch-retries=0", "--prefer-online"]);
}

test("a registry that knows nothing against the locked packages makes the audit clean, and all of them were asked about", async (t) => {
  const verdict = await asked(t, (_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end("{}");
  });
  assert.equal(verdict.kind, "clean", JSON.stringify(verdict));
  assert.ok(verdict.kind === "clean" && verdict.packages > 100);
});

test("an advisory against one of them is told, and fails the audit", async (t) => {
  const advisory = {
    id: 1,
    url: "https://advisories.test/1",
    title: "A made-up fault",
    severity: "high",
    vulnerable_versions: "*",
  };
  const verdict = await asked(t, (request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === BULK) response.end(JSON.stringify({ yaml: [advisory] }));
    else response.end(JSON.stringify({ name: decodeURIComponent(request.url?.slice(1) ?? ""), versions: {} }));
  });
  assert.equal(verdict.kind, "found", JSON.stringify(verdict));
  assert.ok(
    verdict.kind === "found" && verdict.advisories.some((line) => line.startsWith("yaml (high): A made-up fault")),
  );
});

test("a registry that cannot be asked, or says something else, is no clean audit", async (t) => {
  const verdict = await asked(t, (_request, response) => void response.writeHead(405, { allow: "GET,HEAD" }).end());
  assert.equal(verdict.kind, "unknown", JSON.stringify(verdict));
  assert.ok(
    verdict.kind === "unknown" && /405/.test(verdict.why) && !/127\.0\.0\.1/.test(verdict.why),
    JSON.stringify(verdict),
  );
  for (const output of ["", "{}", "null", '{"auditReportVersion":2}', '{"vulnerabilities":{}}'])
    assert.equal(judge(output).kind, "unknown", output);
});
