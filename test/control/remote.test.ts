import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import type { RunningProcess } from "../support/process.ts";
import { skipUnless } from "../support/real-parts.ts";

// A sidecar in one network namespace and who asks it in another, with an address of its own.

const node = process.execPath;
const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const parts = skipUnless("ip");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };
const TOKEN = "correct-horse-battery";

let network: PodNetwork;
let sidecar: Pod;
let stranger: Pod;
let folder: string;
const running: RunningProcess[] = [];

before(async () => {
  if (guard.skip !== false) return;
  network = await PodNetwork.make();
  sidecar = await network.pod();
  stranger = await network.pod();
  folder = await mkdtemp(join(tmpdir(), "outrigger-remote-"));
  await start("loopback.yaml", {});
  await start("everywhere.yaml", {
    listeners: { outbound: "127.0.0.1:16001", admin: ":16000", probe: "127.0.0.1:16021" },
    admin: { token: TOKEN },
  });
});

after(async () => {
  if (guard.skip !== false) return;
  for (const process of running.reverse()) await process.kill();
  await network.close();
  await rm(folder, { recursive: true });
});

async function start(name: string, config: object): Promise<void> {
  const file = join(folder, name);
  await writeFile(file, JSON.stringify(config));
  const process = await sidecar.start([node, main, "run", "-c", file]);
  running.push(process);
  await process.line(/^outrigger ready/, 30_000);
}

/** One request as it is asked, and its answer. */
interface Exchange {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Makes requests from the other namespace: each answer's status, or the error's code; and the names of its fields. */
async function asked(exchanges: readonly Exchange[]): Promise<{ result: number | string; fields: string[] }[]> {
  const script = `
    const { request } = require("node:http");
    const one = ({ port, path, method = "GET", headers = {}, body }) => new Promise((resolve) => {
      const sent = request({ host: "${sidecar.address}", port, path, method, headers, agent: false, timeout: 5000 }, (answer) => {
        answer.resume().on("end", () => resolve({ result: answer.statusCode, fields: Object.keys(answer.headers) }));
      });
      sent.on("timeout", () => sent.destroy());
      sent.on("error", (error) => resolve({ result: error.code, fields: [] }));
      sent.end(body);
    });
    (async () => {
      const all = [];
      for (const exchange of ${JSON.stringify(exchanges)}) all.push(await one(exchange));
      console.log(JSON.stringify(all));
    })();`;
  const { stdout, stderr } = await stranger.run([node, "-e", script]);
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout);
}

async function results(exchanges: readonly Exchange[]): Promise<(number | string)[]> {
  return (await asked(exchanges)).map(({ result }) => result);
}

test(
  "by default the admin listener is not there for another machine, and the probe is, to be read",
  guard,
  async () => {
    const probe = (path: string, method = "GET"): Exchange => ({ port: 15021, path, method });
    const all = [
      { port: 15000, path: "/config" },
      { port: 15001, path: "/" },
      probe("/ready"),
      probe("/live"),
      probe("/startup"),
      probe("/metrics"),
      ...["/", "/config", "/clusters", "/connections", "/explain", "/drain", "/quit", "/log-level"].map((path) =>
        probe(path),
      ),
      ...["/drain", "/quit", "/log-level"].map((path) => probe(path, "POST")),
      probe("/ready", "POST"),
      probe("/metrics", "PUT"),
    ];
    const refused = Array.from({ length: 11 }, () => 404);
    const expected = ["ECONNREFUSED", "ECONNREFUSED", 200, 200, 200, 200, ...refused, 405, 405];
    assert.deepEqual(await results(all), expected);
  },
);

test(
  "an admin listener for others answers them with the token alone, and no page of another site at all",
  guard,
  async () => {
    const bearer = { authorization: `Bearer ${TOKEN}` };
    const json = { ...bearer, "content-type": "application/json" };
    const host = `${sidecar.address}:16000`;
    const drain = (headers: Record<string, string>, body?: string): Exchange => ({
      port: 16000,
      path: "/drain",
      method: "POST",
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const get = (headers: Record<string, string>): Exchange => ({ port: 16000, path: "/config", headers });
    const foreign = { origin: "http://evil.example" };
    const cases: readonly (readonly [expected: number, exchange: Exchange])[] = [
      [401, get({})],
      [401, get({ authorization: "Bearer something-else-of-20" })],
      [200, get(bearer)],
      [401, drain({ "content-type": "application/json" })],
      // DNS rebinding: a name of the attacker's that leads here; the browser says the name.
      [403, get({ ...bearer, host: "evil.example" })],
      [403, get({ ...bearer, host: "evil.example:16000" })],
      [403, get({ ...bearer, host: `${stranger.address}:16000` })],
      // Forms of another site, with what a browser would add of itself.
      [403, drain({ ...bearer, ...foreign, "content-type": "application/x-www-form-urlencoded" }, "a=b")],
      [403, drain({ ...bearer, ...foreign, "content-type": "text/plain" }, '{"x":"="}')],
      [403, drain({ ...bearer, ...foreign, "content-type": "multipart/form-data; boundary=b" }, "--b--")],
      [403, drain({ ...json, ...foreign }, "{}")],
      [403, drain({ ...json, origin: "null" }, "{}")],
      [403, drain({ ...json, origin: `http://${host}`, "sec-fetch-site": "cross-site" }, "{}")],
      [415, drain({ ...bearer, "content-type": "text/plain" }, "{}")],
      [405, { port: 16000, path: "/drain", method: "OPTIONS", headers: { ...bearer, ...foreign } }],
      [401, { port: 16000, path: "/drain", method: "OPTIONS", headers: foreign }],
      // Nothing of that has drained it; what its own page would send does.
      [200, { port: 16000, path: "/ready", headers: bearer }],
      [202, drain({ ...json, origin: `http://${host}`, "sec-fetch-site": "same-origin" }, "{}")],
    ];
    const answers = await asked(cases.map(([, exchange]) => exchange));
    for (const [at, [expected, exchange]] of cases.entries()) {
      assert.equal(answers[at]?.result, expected, JSON.stringify(exchange));
      assert.deepEqual(
        answers[at]?.fields.filter((name) => name.startsWith("access-control")),
        [],
      );
    }
  },
);
