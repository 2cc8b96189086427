import assert from "node:assert/strict";
import { chmod, chown, copyFile, cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parse } from "yaml";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import type { RunningProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// deploy/docker-compose.yaml without a container engine: each of its containers is a network namespace, known to the others by
// its name, in which the real program runs with the command, the variables and the files that the composition gives it. Left out
// are those that no package of the machine has: Grafana and the ELK stack.

const root = join(import.meta.dirname, "..", "..");
const deploy = join(root, "deploy");
const node = process.execPath;
const parts = skipUnless("consul", "grpcurl", "initdb", "ip", "jaeger", "postgres", "prometheus", "redis-server");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };
/** Of the images: of the sidecar and of the user service; PostgreSQL refuses to be root. */
const users = { sidecar: 15001, user: 15002, postgres: 65534 };

interface Service {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
}

const replicas = ["user-1", "user-2", "user-3"] as const;
const names = ["consul", "postgres", "redis", "jaeger", "prometheus", "caller-sidecar", ...replicas] as const;
type Name = (typeof names)[number];

let services: Readonly<Record<string, Service>>;
let network: PodNetwork;
let folder: string;
const places = new Map<Name, Pod>();
const running: RunningProcess[] = [];

before(async () => {
  if (guard.skip !== false) return;
  services = parse(await readFile(join(deploy, "docker-compose.yaml"), "utf8"), { merge: true }).services;
  folder = await mkdtemp(join(tmpdir(), "composition-"));
  await chmod(folder, 0o755);
  network = await PodNetwork.make();
  const hosts = Object.fromEntries(names.map((name, at) => [name, `10.77.0.${at + 2}`]));
  for (const name of names) {
    const made = await network.pod(hosts);
    assert.equal(made.address, hosts[name]);
    places.set(name, made);
  }
  await Promise.all([startConsul(), startPostgres(), startRedis(), startJaeger()]);
  for (const name of replicas) {
    const { environment = {} } = services[name] ?? {};
    const user = await start(name, [node, join(root, "services", "user", "main.ts")], environment, users.user);
    await user.line(/^user ready .*address=127\.0\.0\.1:50051/, 60_000);
    await startSidecar(`${name}-sidecar`, name);
  }
  await startSidecar("caller-sidecar", "caller-sidecar");
});

after(async () => {
  if (guard.skip !== false) return;
  for (const one of running.reverse()) await one.kill();
  await network.close();
  await rm(folder, { recursive: true, force: true });
});

function place(name: Name): Pod {
  const found = places.get(name);
  assert.ok(found);
  return found;
}

async function start(
  name: Name,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  user?: number,
): Promise<RunningProcess> {
  const started = await place(name).start(command, { env, cwd: folder }, user);
  running.push(started);
  return started;
}

function commandOf(name: string): readonly string[] {
  const command = services[name]?.command;
  assert.ok(command, name);
  return command;
}

/** The file of the composition that a container finds at a path. */
function mounted(name: string, path: string): string {
  const volume = services[name]?.volumes?.find((one) => one.split(":")[1] === path);
  assert.ok(volume, `${name}: ${path}`);
  return join(deploy, volume.split(":")[0] ?? "");
}

async function startSidecar(service: string, name: Name): Promise<void> {
  const [command, flag, path = ""] = commandOf(service);
  assert.deepEqual([command, flag], ["run", "-c"]);
  // Where the file is, a sidecar without the rights of root may not be able to look.
  const file = join(folder, `${service}.yaml`);
  await copyFile(mounted(service, path), file);
  const sidecar = await start(name, [node, join(root, "src", "main.ts"), "run", "-c", file], {}, users.sidecar);
  await sidecar.line(/^outrigger ready /, 60_000);
}

async function startConsul(): Promise<void> {
  const consul = await start("consul", [requirePart("consul"), ...commandOf("consul")]);
  await consul.line(/cluster leadership acquired/, 60_000);
}

async function startRedis(): Promise<void> {
  const [program, ...args] = commandOf("redis");
  assert.equal(program, "redis-server");
  const redis = await start("redis", [requirePart("redis-server"), ...args]);
  await redis.line(/Ready to accept connections/, 30_000);
}

async function startJaeger(): Promise<void> {
  const jaeger = await start("jaeger", [requirePart("jaeger")]);
  await jaeger.line(/Health Check state change.*"ready"/, 30_000);
}

/** As its image does: a user and a database by the variables, reached from everywhere. */
async function startPostgres(): Promise<void> {
  const { POSTGRES_USER: user = "", POSTGRES_DB: database = "" } = services.postgres?.environment ?? {};
  const data = join(folder, "postgres");
  await mkdir(data, { mode: 0o700 });
  await chown(data, users.postgres, users.postgres);
  const own = place("postgres");
  const [initdb, postgres] = await Promise.all(["initdb", "postgres"].map((name) => realpath(requirePart(name))));
  const flags = ["--pgdata", data, `--username=${user}`, "--auth=trust", "--encoding=UTF8", "--no-sync"];
  const made = await own.run([initdb ?? "", ...flags], { cwd: folder }, users.postgres);
  assert.equal(made.code, 0, made.stderr);
  await writeFile(join(data, "pg_hba.conf"), "host all all all trust\n", { flag: "a" });
  const single = [postgres ?? "", "--single", "-D", data, "postgres"];
  const filled = await own.run(single, { cwd: folder, input: `CREATE DATABASE "${database}"\n` }, users.postgres);
  assert.equal(filled.code, 0, filled.stderr);
  const settings = ["listen_addresses=*", "fsync=off", `unix_socket_directories=${data}`];
  const server = [postgres ?? "", "-D", data, ...settings.flatMap((setting) => ["-c", setting])];
  await (await start("postgres", server, {}, users.postgres)).line(/ready to accept connections/, 30_000);
}

interface Registered {
  readonly ServiceAddress: string;
  readonly ServicePort: number;
  readonly ServiceName: string;
  readonly ServiceID: string;
}

async function startPrometheus(): Promise<void> {
  const files = join(folder, "prometheus");
  await mkdir(files);
  // Debian's Prometheus is built without Consul: what that would have told is said to it instead, label by label.
  const catalog: Registered[] = JSON.parse(
    await page(`http://${place("consul").address}:8500/v1/catalog/service/user`),
  );
  const found = catalog.map(({ ServiceAddress, ServicePort, ServiceName, ServiceID }) => ({
    targets: [`${ServiceAddress}:${ServicePort}`],
    labels: {
      __meta_consul_service_address: ServiceAddress,
      __meta_consul_service: ServiceName,
      __meta_consul_service_id: ServiceID,
    },
  }));
  const text = await readFile(mounted("prometheus", "/etc/prometheus/prometheus.yml"), "utf8");
  const told = text.replace(/consul_sd_configs: .*/, `static_configs: ${JSON.stringify(found)}`);
  assert.notEqual(told, text);
  await writeFile(join(files, "prometheus.yml"), told);
  await cp(mounted("prometheus", "/etc/prometheus/rules"), join(files, "rules"), { recursive: true });
  // In a view of the file system of its own, as a container has one.
  const mount = 'mount --bind "$1" /etc/prometheus && shift && exec "$@"';
  const prometheus = await start("prometheus", [
    ...["unshare", "--mount", "sh", "-c", mount, "sh", files, requirePart("prometheus")],
    ...["--config.file=/etc/prometheus/prometheus.yml", `--storage.tsdb.path=${join(folder, "tsdb")}`],
  ]);
  await prometheus.line(/Server is ready to receive web requests/, 30_000);
}

/** What a page says to who asks from the machine. */
async function page(url: string): Promise<string> {
  const script = `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(5000) }).then((r) => r.text()).then((t) => process.stdout.write(t))`;
  const { stdout } = await network.hub.run([node, "-e", script]);
  return stdout;
}

/** A call as the composition's comment makes it. */
async function call(method: string, message: object): Promise<string> {
  const flags = ["-plaintext", "-authority", "user", "-max-time", "20", "-d", JSON.stringify(message)];
  const caller = place("caller-sidecar");
  const called = await caller.run([
    requirePart("grpcurl"),
    ...flags,
    "127.0.0.1:15001",
    `user.v1.UserService/${method}`,
  ]);
  assert.equal(called.code, 0, called.stderr);
  return called.stdout;
}

test("a caller reaches all three replicas through the sidecars, and they share what they store", guard, async () => {
  await eventually(
    async () => {
      const health = JSON.parse(await page(`http://${place("consul").address}:8500/v1/health/service/user?passing`));
      return Array.isArray(health) && health.length === 3;
    },
    () => "three passing instances in Consul",
    60_000,
  );
  const made = await call("CreateUser", { user: { email: "ada@example.com", displayName: "Ada" } });
  const { user } = JSON.parse(made);
  for (let again = 0; again < 12; again++) assert.match(await call("GetUser", { id: user.id }), /Ada/);
  for (const name of replicas) {
    const metrics = await page(`http://${place(name).address}:15021/metrics`);
    assert.match(
      metrics,
      /outrigger_calls_handled_total\{direction="inbound",[^}]*grpc_status="OK"[^}]*\} [1-9]/,
      name,
    );
  }
});

test("the replicas count a caller's calls together, in Redis", guard, async () => {
  // What a caller has taken is forgotten a second after it has come back, so it is asked what was written, not what is there.
  const asked = await place("redis").run([requirePart("redis-cli"), "info", "commandstats"]);
  assert.match(asked.stdout, /^cmdstat_hset:calls=[1-9]/m);
});

test("Prometheus reads every sidecar that Consul knows, and the rules are loaded", guard, async () => {
  await startPrometheus();
  const address = `http://${place("prometheus").address}:9090`;
  let targets = "";
  await eventually(
    async () => {
      targets = await page(`${address}/api/v1/targets?state=active`);
      const { data } = JSON.parse(targets);
      const up = data.activeTargets.filter(({ health }: { health: string }) => health === "up");
      return data.activeTargets.length === 4 && up.length === 4;
    },
    () => `four targets that are up: ${targets}`,
    60_000,
  );
  const { data } = JSON.parse(await page(`${address}/api/v1/rules`));
  assert.ok(data.groups.length > 1);
  for (const { rules } of data.groups) for (const { lastError } of rules) assert.equal(lastError ?? "", "");
});

test("Jaeger has traces that go through the caller's sidecar and a replica's", guard, async () => {
  const address = `http://${place("jaeger").address}:16686`;
  await eventually(
    async () => {
      const { data } = JSON.parse(await page(`${address}/api/traces?service=caller&limit=50`));
      return (data ?? []).some((trace: { processes: Record<string, { serviceName: string }> }) =>
        Object.values(trace.processes).some(({ serviceName }) => serviceName === "user"),
      );
    },
    () => "a trace of both",
    60_000,
  );
});
