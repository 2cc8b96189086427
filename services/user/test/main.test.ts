import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { Client, credentials, type Metadata, status } from "@grpc/grpc-js";
import { TestCa } from "../../../test/support/certificates.ts";
import { Postgres } from "../../../test/support/postgres.ts";
import { skipUnless } from "../../../test/support/real-parts.ts";
import { UserService } from "../api/gen/user_pb.ts";
import { clientOf } from "../internal/grpc-client.ts";
import { collect, failureOf, until } from "./support/serve.ts";

const MAIN = join(import.meta.dirname, "..", "main.ts");
const ANN = { id: "ann", email: "ann@x.org", displayName: "Ann" };

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly exited: Promise<number | null>;
}

function start(t: TestContext, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH ?? "", ...env } });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (output.stdout += chunk));
  child.stderr.on("data", (chunk) => (output.stderr += chunk));
  const exited = once(child, "close").then(([code]) => code as number | null);
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  return { child, output, exited };
}

async function addressOf({ output, exited }: Running): Promise<string> {
  const early = exited.then((code) => assert.fail(`exit ${code}: ${output.stderr}`));
  early.catch(() => {}); // a process that has been ready ends when its test wants it to
  const ready = /^user ready address=(\S+) instance=\S+\n/;
  for (;;) {
    const [, address] = ready.exec(output.stdout) ?? [];
    if (address !== undefined) return address;
    await Promise.race([early, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
}

function connect(t: TestContext, address: string) {
  const channel = new Client(address, credentials.createInsecure());
  t.after(() => channel.close());
  return clientOf(UserService, channel);
}

describe("the process", () => {
  it("says on one line where it listens, serves, and ends with 0 when it is told to", async (t) => {
    const running = start(t, ["--listen=127.0.0.1:0"], { INSTANCE_ID: "replica-7" });
    const address = await addressOf(running);
    assert.equal(running.output.stdout, `user ready address=${address} instance=replica-7\n`);
    const users = connect(t, address);
    const seen: Metadata[] = [];
    await users.createUser({ user: ANN }, { onHeader: (metadata) => seen.push(metadata) });
    assert.deepEqual(seen[0]?.get("user-instance"), ["replica-7"]);

    const watching = failureOf(collect(users.watchUsers({})), status.UNAVAILABLE);
    await users.getUser({ id: "ann" });
    running.child.kill("SIGTERM");
    assert.equal(await running.exited, 0);
    await watching;
    const lines = running.output.stderr
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    assert.equal(lines.length, 3, running.output.stderr);
    for (const line of lines) assert.match(JSON.stringify(line), /"instance":"replica-7"/);
  });

  it("keeps users in a file that several replicas share", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "users-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await share(t, join(folder, "users.db"));
  });

  it("keeps users in PostgreSQL, which several replicas share", skipUnless("postgres", "initdb"), async (t) => {
    const server = await Postgres.start();
    t.after(() => server.stop());
    await share(t, server.url());
  });

  it(
    "leaves nothing locked in PostgreSQL when it is killed while it writes",
    skipUnless("postgres", "initdb"),
    async (t) => {
      const server = await Postgres.start();
      t.after(() => server.stop());
      const env = { DATABASE: server.url() };
      const killed = start(t, ["--listen=127.0.0.1:0"], env);
      const survivor = start(t, ["--listen=127.0.0.1:0"], env);
      const one = connect(t, await addressOf(killed));
      const two = connect(t, await addressOf(survivor));
      const user = (id: string) => ({ id, email: `${id}@x.org`, displayName: id });
      const writes = Array.from({ length: 300 }, (_, n) => one.createUser({ user: user(`one-${n}`) }));
      await Promise.race(writes);
      killed.child.kill("SIGKILL");
      const results = await Promise.allSettled(writes);
      assert.ok(results.some(({ status: result }) => result === "rejected"));
      await two.createUser({ user: user("two") }, { timeout: 10_000 });
      // What was acknowledged is stored.
      const stored = new Set<string>();
      for await (const page of two.listUsers({})) for (const { id } of page.users) stored.add(id);
      for (const result of results) {
        if (result.status === "fulfilled") assert.ok(stored.has(result.value.user?.id ?? ""));
      }
    },
  );

  it("speaks TLS with PostgreSQL, and checks whom it speaks to", skipUnless("postgres", "initdb"), async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "users-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const ca = await TestCa.make();
    await writeFile(join(folder, "ca.pem"), ca.pem);
    const server = await Postgres.start({ tls: await ca.issue("postgres", { dns: ["localhost"] }) });
    t.after(() => server.stop());
    const url = (host: string): string => `${server.url().replace("127.0.0.1", host)}?sslmode=verify-full`;
    const trust = { NODE_EXTRA_CA_CERTS: join(folder, "ca.pem") };
    const flags = ["--listen=127.0.0.1:0"];

    const users = connect(t, await addressOf(start(t, flags, { ...trust, DATABASE: url("localhost") })));
    await users.createUser({ user: ANN });
    assert.equal((await users.getUser({ id: "ann" })).user?.email, "ann@x.org");

    for (const [env, message] of [
      [{ DATABASE: url("localhost") }, /cannot open database \S+: unable to (get|verify)/],
      [{ ...trust, DATABASE: url("127.0.0.1") }, /cannot open database \S+: Hostname\/IP does not match/],
    ] as const) {
      const refused = start(t, flags, env);
      assert.equal(await refused.exited, 1);
      assert.match(refused.output.stderr, message);
    }
  });

  /** Two replicas that start at once on a new database. */
  async function share(t: TestContext, database: string): Promise<void> {
    const replicas = [0, 1].map(() => start(t, ["--listen=127.0.0.1:0"], { DATABASE: database }));
    const [one, two] = await Promise.all(replicas.map(async (replica) => connect(t, await addressOf(replica))));
    assert.ok(one && two);
    const told: string[] = [];
    const watching = (async () => {
      for await (const { change } of two.watchUsers({ afterRevision: 0n })) {
        if (change?.change.case === "put") told.push(change.change.value.id);
        if (told.length === 20) return;
      }
    })();
    const ids = Array.from({ length: 10 }, (_, n) => n);
    await Promise.all([
      ...ids.map((n) => one.createUser({ user: { ...ANN, id: `one-${n}`, email: `one-${n}@x.org` } })),
      ...ids.map((n) => two.createUser({ user: { ...ANN, id: `two-${n}`, email: `two-${n}@x.org` } })),
    ]);
    await watching;
    assert.equal(new Set(told).size, 20);
    assert.equal((await one.getUser({ id: "two-3" })).user?.email, "two-3@x.org");
    for (const { child, exited } of replicas) {
      child.kill("SIGTERM");
      assert.equal(await exited, 0);
    }
  }

  it("ends at once, with 130, when it is told twice", async (t) => {
    const running = start(t, ["--listen=127.0.0.1:0", "--grace=60000"]);
    const users = connect(t, await addressOf(running));
    // An import that never ends keeps the first signal waiting.
    const importing = users.importUsers(
      (async function* () {
        yield { user: ANN };
        await new Promise(() => {});
      })(),
    );
    const cut = importing.then(
      () => "answered",
      () => "cut",
    );
    await users.getUser({ id: "nobody" }).catch(() => {});
    running.child.kill("SIGINT");
    await until("the stop has begun", () => running.output.stderr.includes("stopping"));
    running.child.kill("SIGINT");
    assert.equal(await running.exited, 130);
    assert.equal(await cut, "cut");
  });

  it("exits with 1 where it cannot listen or open its database, naming them in the log", async (t) => {
    const holder = start(t, ["--listen=127.0.0.1:0"]);
    const address = await addressOf(holder);
    const second = start(t, [`--listen=${address}`]);
    assert.equal(await second.exited, 1);
    assert.match(second.output.stderr, new RegExp(`cannot listen on ${address}`));
    const lost = start(t, ["--listen=127.0.0.1:0", "--database=/nowhere/users.db"]);
    assert.equal(await lost.exited, 1);
    assert.match(lost.output.stderr, /cannot open database \/nowhere\/users.db/);
    const alone = start(t, ["--listen=127.0.0.1:0"], { DATABASE: "postgres://me:secret@127.0.0.1:1/users" });
    assert.equal(await alone.exited, 1);
    assert.match(alone.output.stderr, /cannot open database postgres:\/\/me@127.0.0.1:1\/users: connect ECONNREFUSED/);
    assert.doesNotMatch(alone.output.stderr, /secret/);
    assert.equal(second.output.stdout + lost.output.stdout + alone.output.stdout, "");
  });

  it("exits with 2 and its usage for a flag that it does not know, and with 0 for --help", async (t) => {
    const wrong = start(t, ["--port=1"]);
    assert.equal(await wrong.exited, 2);
    assert.match(wrong.output.stderr, /--port[\s\S]*usage: node main\.ts/);
    const help = start(t, ["--help"]);
    assert.equal(await help.exited, 0);
    assert.match(help.output.stdout, /^usage: node main\.ts/);
  });
});
