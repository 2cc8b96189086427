import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { dashboards, grafana } from "../../deploy/dashboards.ts";
import { metricsReference } from "../../deploy/metrics-reference.ts";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { runProcess, startProcess } from "../support/process.ts";
import { parseMetrics } from "../support/prometheus.ts";
import { PrometheusServer } from "../support/prometheus-server.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, "deploy", "grafana");
const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));

test("the dashboards are those that deploy/dashboards.ts writes, and every panel asks a question", () => {
  for (const [name, dashboard] of Object.entries(dashboards)) {
    assert.deepEqual(read(name), grafana(dashboard), `node deploy/dashboards.ts writes ${name}`);
    for (const { question, about } of dashboard.panels) {
      assert.match(question, /\?$/);
      assert.match(about, /\.$/, question);
    }
  }
});

test("no family has the name that another, a counter, has in OpenMetrics", async () => {
  const names = new Set([...(await metricsReference()).matchAll(/^\| `(\w+)` \|/gm)].map(([, name = ""]) => name));
  assert.ok(names.size > 50);
  for (const name of names) if (name.endsWith("_total")) assert.ok(!names.has(name.slice(0, -"_total".length)), name);
});

test("docs/metrics.md is what a sidecar offers; node deploy/metrics-reference.ts writes it", async () => {
  assert.equal(readFileSync(join(root, "docs", "metrics.md"), "utf8"), await metricsReference());
});

test("the rules are sound, and alert of what they should", skipUnless("promtool"), async () => {
  const rules = ["recording.yaml", "alerts.yaml"].map((name) => join(root, "deploy", "prometheus", name));
  const promtool = (...args: string[]) => runProcess(requirePart("promtool"), args);
  for (const args of [
    ["check", "rules", ...rules],
    ["check", "config", "--syntax-only", join(root, "deploy", "prometheus", "prometheus.yaml")],
    ["test", "rules", join(root, "test", "fixtures", "prometheus", "rules.test.yaml")],
  ]) {
    const said = await promtool(...args);
    assert.equal(said.code, 0, `${said.stdout}${said.stderr}`);
  }
});

/** What Grafana fills in. */
function filledIn(expr: string): string {
  return expr
    .replaceAll("$__rate_interval", "30s")
    .replaceAll("$__range", "5m")
    .replaceAll("$job", ".*")
    .replaceAll("$instance", ".*");
}

/** Each question of each dashboard has an answer, now or within 10 s. */
async function assertAnswers(prometheus: PrometheusServer): Promise<void> {
  const answers = async (expr: string): Promise<number> => {
    const series = await prometheus.query(filledIn(expr));
    return series.filter(({ value }) => Number.isFinite(Number(value[1]))).length;
  };
  for (const { title, panels } of Object.values(dashboards))
    for (const { question, queries } of panels)
      for (const expr of Object.values(queries)) {
        let found = 0;
        for (let tries = 0; tries < 40 && found === 0; tries++) {
          found = await answers(expr);
          if (found === 0) await sleep(250);
        }
        assert.ok(found > 0, `${title}: ${question} has no answer: ${filledIn(expr)}`);
      }
}

/** Something of everything that happens in a mesh: good calls, answers, failures, retries, limits. */
async function traffic(outbound: string, seconds: number): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = testService.unary;
  const clients = ["app", "gone", "limited"].map((authority) => grpcClient(outbound, authority));
  const call = (client: (typeof clients)[number], text: string): Promise<void> =>
    new Promise((resolve) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.from(text), () => resolve());
    });
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    await Promise.all(clients.flatMap((client) => ["good", "bad", "fine"].map((text) => call(client, text))));
    await sleep(50);
  }
  for (const client of clients) client.close();
}

test(
  "every panel of every dashboard has an answer from a real Prometheus that scraped two sidecars",
  skipUnless("prometheus"),
  async (t) => {
    const app = await GrpcServer.start({
      unary: (call: { request: Buffer }, done: (error: { code: number } | null, answer?: Buffer) => void) => {
        if (call.request.toString() === "bad") done({ code: 14 });
        else done(null, Buffer.from("y"));
      },
    });
    t.after(() => app.stop());
    const own = createServer((_request, response) => {
      response.setHeader("content-type", "text/plain; version=0.0.4");
      response.end(
        "# HELP orders_open Orders.\n# TYPE orders_open gauge\norders_open 7\n" +
          "# HELP process_open_fds Theirs.\n# TYPE process_open_fds gauge\nprocess_open_fds 11\n",
      );
    }).listen(0, "127.0.0.1");
    await once(own, "listening");
    t.after(() => own.close());
    const address = own.address();
    assert.ok(address !== null && typeof address === "object");
    const tracing = { otlp: "http://127.0.0.1:1", sampling: "100%" };
    const metrics = { names: "otel", application: `http://127.0.0.1:${address.port}/metrics` };
    const beside = await startSidecarProcess({
      service: { name: "app", address: app.address, health: "none" },
      tracing,
      metrics,
    });
    t.after(() => beside.process.kill());
    const endpoints = [beside.address("inbound")];
    const retry = { attempts: 2, statuses: ["unavailable"], idempotentMethods: ["test.v1.Test/Unary"] };
    const caller: SidecarProcess = await startSidecarProcess({
      identity: { name: "caller" },
      upstreams: {
        app: { discovery: "static", endpoints, retry },
        gone: { discovery: "static", endpoints: ["127.0.0.1:1"] },
        limited: { discovery: "static", endpoints },
      },
      rateLimits: [{ name: "few", direction: "outbound", match: { upstream: "limited" }, limit: "1/s" }],
      tracing,
    });
    t.after(() => caller.process.kill());
    const prometheus = await PrometheusServer.start([beside.address("probe"), caller.address("probe")]);
    t.after(() => prometheus.stop());
    await traffic(caller.address("outbound"), 12);

    for (const { health, lastError } of await prometheus.targets()) assert.equal(health, "up", lastError);
    await assertAnswers(prometheus);

    // Not only something, but what happened.
    const value = async (expr: string): Promise<number> =>
      Number((await prometheus.query(expr))[0]?.value[1] ?? Number.NaN);
    assert.ok(
      (await value('sum(rate(outrigger_calls_handled_total{upstream="gone",reason="CONNECT_REFUSED"}[30s]))')) > 0,
    );
    assert.ok((await value('outrigger:bad_calls:ratio_5m{direction="outbound",upstream="gone"}')) > 0.99);
    assert.ok((await value('sum(outrigger_retries_total{upstream="app"})')) > 0);
    assert.ok((await value('sum(outrigger_rate_limited_total{limit="few"})')) > 0);
    assert.ok(
      (await value('count(ALERTS{alertname="OutriggerErrorBudgetBurnsFast",alertstate="pending",upstream="gone"})')) >
        0,
    );

    // The application's metrics stand beside ours, and the names of others beside our names.
    assert.equal(await value("orders_open"), 7);
    assert.equal(await value("application_process_open_fds"), 11);
    assert.ok((await value('sum(rpc_server_call_duration_seconds_count{rpc_method="test.v1.Test/Unary"})')) > 0);
    assert.ok((await value('sum(grpc_server_call_duration_seconds_count{grpc_method="test.v1.Test/Unary"})')) > 0);
    const labels = 'rpc_system_name="grpc",rpc_response_status_code="UNAVAILABLE",error_type="UNAVAILABLE"';
    assert.ok((await value(`sum(rpc_server_call_duration_seconds_count{${labels}})`)) > 0);
    assert.ok((await value('sum(grpc_server_call_duration_seconds_count{grpc_status="OK"})')) > 0);

    const exemplars = await prometheus.exemplars("outrigger_call_duration_seconds_bucket");
    assert.match(exemplars[0]?.labels.trace_id ?? "", /^[0-9a-f]{32}$/);

    // Whoever does not ask for OpenMetrics gets the format that everybody reads, without exemplars.
    const plain = await (await fetch(`http://${caller.address("probe")}/metrics`)).text();
    assert.doesNotMatch(plain, /trace_id|# EOF/);
    assert.ok(parseMetrics(plain).has("outrigger_calls_handled_total"));
  },
);

test("no panel is empty while the demo runs", skipUnless("prometheus"), async (t) => {
  const demo = await startProcess(process.execPath, [join(root, "deploy", "demo", "demo.ts")], {
    env: { CONSUL_HTTP_ADDR: "127.0.0.1:1", DATABASE: undefined },
  });
  t.after(async () => {
    demo.signal("SIGINT");
    await demo.exited;
  });
  await demo.line(/Stop with Ctrl-C/, 120_000);
  const admins = [...demo.stdout().matchAll(/http:\/\/(127\.0\.0\.1:\d+)\/ /g)].map(([, address = ""]) => address);
  assert.equal(admins.length, 4, "the caller's and three replicas'");
  const prometheus = await PrometheusServer.start(admins);
  t.after(() => prometheus.stop());
  await assertAnswers(prometheus);
});
