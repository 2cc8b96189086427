import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { AdminSecrets } from "../../src/control/admin-secrets.ts";
import { ConsulCredentialStore } from "../../src/discovery/consul/credentials.ts";
import { TestCa } from "../support/certificates.ts";
import { JumpClock } from "../support/jump-clock.ts";
import { ISSUER, Issuer, keySet } from "../support/tokens.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";
import { filesOf } from "./mtls/mesh.ts";

/** A file that the configuration names, or several that go together. */
interface Row {
  /** As docs/configuration.md has them. */
  readonly keys: readonly string[];
  /** What is to stand in which file, from a moment on. */
  readonly good: Readonly<Record<string, string | Uint8Array>>;
  readonly bad: Readonly<Record<string, string>>;
  /** What is in force: changes with it, and with nothing else. */
  readonly inForce: () => unknown;
  /** How the log tells of what is bad. */
  readonly told: RegExp;
}

/** Paths of something else: a folder with a test of its own (rotation.test.ts), what the sidecar itself writes, a socket, and HTTP. */
const OTHERS = [
  "mtls.source.development.path",
  "discovery.directory.path",
  "discovery.cache",
  "mtls.source.spiffe.socket",
  "service.healthPath",
  "upstreams.NAME.healthCheck.path",
];

/** Every distinct object has its number. */
function numbered(): (of: unknown) => number {
  const known: unknown[] = [];
  return (of) => {
    if (!known.includes(of)) known.push(of);
    return known.indexOf(of);
  };
}

function descriptors(...methods: string[]): Uint8Array {
  const method = methods.map((name) => ({ name, options: { idempotencyLevel: 1 } }));
  const file = [{ name: "shop.proto", package: "shop.v1", service: [{ name: "Shop", method }] }];
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
}

/** Keys over https, by a certificate of an authority. */
async function keyServer(scope: Scope, ca: TestCa, text: string): Promise<{ url: string; asked: number }> {
  const { certificate: cert, key } = await ca.issue("keys", { dns: ["localhost"] });
  const server = createServer({ cert, key }, (_request, response) => {
    made.asked++;
    response.end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  scope.onEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const made = { url: `https://localhost:${(server.address() as AddressInfo).port}/keys`, asked: 0 };
  return made;
}

async function rows(scope: Scope): Promise<{ rows: Row[]; lines: () => string }> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-watched-"));
  scope.onEnd(() => rm(folder, { recursive: true, force: true }));
  const path = (name: string): string => join(folder, name);
  const [ca, other, federated, keyCa] = await Promise.all([
    TestCa.make(),
    TestCa.make(),
    TestCa.make("partner.mesh"),
    TestCa.make("keys"),
  ]);
  const certificates = await filesOf(scope, ca, "up");
  const own = certificates.files;
  const next = await ca.issue("up");
  const revoked = await ca.issue("someone");
  const [one, two] = [await Issuer.make("one"), await Issuer.make("two")];
  const crl = await ca.revoke(revoked.certificate);
  const texts = { crl, federated: federated.pem, keys: keySet(one), keyCa: keyCa.pem, shop: descriptors("Look") };
  for (const [name, text] of Object.entries(texts)) await writeFile(path(name), text);
  const server = await keyServer(scope, keyCa, keySet(one));
  const accounts = { issuer: ISSUER, audiences: ["up"], keys: { file: path("keys") } };
  const others = { issuer: `${ISSUER}/2`, audiences: ["up"], keys: { url: server.url, ca: path("keyCa") } };
  const retry = { attempts: 2, descriptors: path("shop") };
  const sidecar = await scope.sidecar({
    discovery: { directory: { path: folder } },
    service: { name: "up", address: "127.0.0.1:9" },
    mtls: {
      mode: "strict",
      source: { files: { ...own, crl: path("crl"), federated: { "partner.mesh": path("federated") } } },
    },
    jwt: { providers: { accounts, others }, rules: [{ need: "optional" }] },
    upstreams: { shop: { retry } },
    routes: [{ name: "all", upstream: "shop", retry }],
  });
  const { runtime } = sidecar;
  const keysOf = (wanted: string) => [...runtime.tokenKeys.all()].find(([name]) => name === wanted)?.[1];
  await eventually(
    () => keysOf("others")?.keys?.length === 1,
    () => `the keys by https: ${keysOf("others")?.problem}`,
  );
  const credentials = numbered();
  const inForce = (): unknown => credentials(runtime.mtls.credentials);
  const file = (): unknown => {
    const files: unknown = Reflect.get(runtime.upstreams.policies, "descriptors");
    assert.ok(files instanceof Map && files.size === 1, "one file of descriptors");
    const [only] = files.values();
    return ["Look", "Gaze"].filter((name) => only.of(`/shop.v1.Shop/${name}`) !== undefined).join();
  };
  const refused = /no new certificate: /;

  // The others' owners need no sidecar.
  const said: string[] = [];
  const client = await filesOf(scope, ca, "client");
  const names = { tokenFile: path("token"), adminToken: path("adminToken"), ...client.files };
  await writeFile(names.tokenFile, "one");
  await writeFile(names.adminToken, "first-token-of-admin");
  const clock = new JumpClock();
  const { ca: clientCa, cert, key } = client.files;
  const tls = { ca: clientCa, cert, key, serverName: undefined };
  const store = new ConsulCredentialStore({ token: undefined, tokenFile: names.tokenFile, tls }, true, clock, (line) =>
    said.push(line),
  );
  scope.onEnd(() => store.close());
  const agents = numbered();
  let consul = "";
  const ofConsul = (): string => {
    void store.current().then(({ token, agent }) => {
      consul = `${token} ${agents(agent)}`;
    });
    return consul;
  };
  const access = { token: undefined, tokenFile: names.adminToken, tls: { cert, key, clientCa } };
  const admin = new AdminSecrets(
    () => access,
    clock,
    (line) => said.push(line),
  );
  await Promise.all([store.current(), admin.current()]);
  let material = "";
  const materials = numbered();
  const ofAdmin = (): string => {
    clock.jump(1001);
    void admin.current().then((now) => {
      material = `${now.token} ${materials(now)}`;
    });
    return material;
  };
  const [pair, third] = await Promise.all([ca.issue("client"), ca.issue("client")]);
  return {
    lines: () => JSON.stringify(sidecar.lines) + said.join("\n"),
    rows: [
      {
        keys: ["mtls.source.files.cert", "mtls.source.files.key"],
        good: { [own.key]: next.key, [own.cert]: next.certificate },
        bad: { [own.cert]: "no PEM" },
        inForce,
        told: refused,
      },
      {
        keys: ["mtls.source.files.ca"],
        good: { [own.cert]: next.certificate, [own.ca]: `${ca.pem}\n${other.pem}` },
        bad: { [own.ca]: "no PEM" },
        inForce,
        told: refused,
      },
      {
        keys: ["mtls.source.files.crl"],
        good: {
          [own.ca]: ca.pem,
          [path("crl")]: await ca.revoke(revoked.certificate),
        },
        bad: { [path("crl")]: "no PEM" },
        inForce,
        told: refused,
      },
      {
        keys: ["mtls.source.files.federated"],
        good: { [path("crl")]: crl, [path("federated")]: `${federated.pem}\n${other.pem}` },
        bad: { [path("federated")]: "no PEM" },
        inForce,
        told: refused,
      },
      {
        keys: ["jwt.providers.NAME.keys.file"],
        good: { [path("keys")]: keySet(one, two) },
        bad: { [path("keys")]: "{" },
        inForce: () =>
          keysOf("accounts")
            ?.keys?.map(({ kid }) => kid)
            .join(),
        told: /the keys of a provider cannot be had, the last ones stay/,
      },
      {
        keys: ["jwt.providers.NAME.keys.ca"],
        good: { [path("keyCa")]: `${keyCa.pem}\n${other.pem}` },
        bad: { [path("keyCa")]: other.pem },
        inForce: () => `${server.asked} ${keysOf("others")?.keys?.length}`,
        told: /"provider":"others".*the keys of a provider cannot be had, the last ones stay/,
      },
      {
        keys: ["upstreams.NAME.retry.descriptors", "routes.retry.descriptors"],
        good: { [path("shop")]: descriptors("Look", "Gaze") },
        bad: { [path("shop")]: "no descriptors" },
        inForce: file,
        told: /descriptors cannot be read: those of before stay/,
      },
      {
        keys: ["discovery.consul.tokenFile"],
        good: { [names.tokenFile]: "two" },
        bad: { [names.tokenFile]: "\n" },
        inForce: ofConsul,
        told: /consul: cannot use \S+token: it is empty; what was there before stays in force/,
      },
      {
        keys: ["discovery.consul.tls.cert", "discovery.consul.tls.key"],
        good: { [names.tokenFile]: "two", [key]: pair.key, [cert]: pair.certificate },
        bad: { [key]: third.key },
        inForce: ofConsul,
        told: /consul: cannot use \S+key.pem: it is not the key of \S+cert.pem; what was there before/,
      },
      {
        keys: ["discovery.consul.tls.ca"],
        good: { [key]: pair.key, [clientCa]: `${ca.pem}\n${other.pem}` },
        bad: { [clientCa]: "no PEM" },
        inForce: ofConsul,
        told: /consul: cannot use \S+ca.pem: .*; what was there before/,
      },
      {
        keys: ["admin.tokenFile"],
        good: { [clientCa]: ca.pem, [names.adminToken]: "second-token-of-admin" },
        bad: { [names.adminToken]: "" },
        inForce: ofAdmin,
        told: /admin: cannot use \S+adminToken: it is empty; what was there before stays in force/,
      },
      {
        keys: ["admin.tls.cert", "admin.tls.key"],
        good: { [names.adminToken]: "second-token-of-admin", [key]: third.key, [cert]: third.certificate },
        bad: { [cert]: "no PEM" },
        inForce: ofAdmin,
        told: /admin: cannot use \S+cert.pem: .*; what was there before/,
      },
      {
        keys: ["admin.tls.clientCa"],
        good: { [cert]: third.certificate, [clientCa]: `${ca.pem}\n${other.pem}` },
        bad: { [clientCa]: "no PEM" },
        inForce: ofAdmin,
        told: /admin: cannot use \S+ca.pem: .*; what was there before/,
      },
    ],
  };
}

async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) await writeFile(path, text);
}

test("every file that the configuration names is read again as it changes; a bad one changes nothing and is told", async () => {
  await inScope(async (scope) => {
    const made = await rows(scope);
    for (const { keys, good, bad, inForce, told } of made.rows) {
      const what = keys.join(", ");
      let before = inForce();
      // What was asked for first may not be known yet.
      await eventually(
        () => {
          const now = inForce();
          const same = now !== "" && now === before;
          before = now;
          return same;
        },
        () => `${what}: something in force`,
      );
      await write(good);
      await eventually(
        () => inForce() !== before,
        () => `${what}: the change to be in force, beside ${String(before)}: ${made.lines().slice(-1000)}`,
        20_000,
      );
      const length = made.lines().length;
      await write(bad);
      let after: unknown;
      await eventually(
        () => {
          after = inForce();
          return told.test(made.lines().slice(Math.max(0, length - 2)));
        },
        () => `${what}: ${told} in ${made.lines().slice(length)}`,
        20_000,
      );
      assert.equal(inForce(), after, what);
    }
    const documented = await readFile(join(import.meta.dirname, "..", "..", "docs", "configuration.md"), "utf8");
    const paths = [
      ...documented.matchAll(/^\| `([\w.]+)` \| (?:a path |a file, or |DOMAIN: VALUE, each value a path )/gm),
    ];
    assert.deepEqual(
      new Set(paths.map(([, key]) => key)),
      new Set([...made.rows.flatMap(({ keys }) => keys), ...OTHERS]),
    );
  });
});
