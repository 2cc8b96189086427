import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { at, type Json, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { inject } from "../../src/kubernetes/pod.ts";
import { type Completed, runProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { configOf, defaults } from "./pods.ts";

// What the manifests and the chart of the user service say once they are rendered. test/kubernetes/api-server.test.ts has them
// taken by a real API server.

const root = join(import.meta.dirname, "..", "..");
const deploy = join(root, "deploy");
const guard = skipUnless("kubectl", "helm");

interface Rendering {
  readonly name: string;
  /** Whether zones are spread over without exception. */
  readonly zones: "DoNotSchedule" | "ScheduleAnyway";
  readonly monitored: boolean;
  readonly command: () => readonly [program: string, ...args: string[]];
}

const kustomize = (folder: string) =>
  [requirePart("kubectl"), "kustomize", join(deploy, "kubernetes", folder)] as const;
const monitored = ["--set", "serviceMonitor.create=always"] as const;
const renderings: readonly Rendering[] = [
  { name: "kustomize base", zones: "ScheduleAnyway", monitored: false, command: () => kustomize("base") },
  {
    name: "kustomize overlays/development",
    zones: "ScheduleAnyway",
    monitored: false,
    command: () => kustomize("overlays/development"),
  },
  {
    name: "kustomize overlays/production",
    zones: "DoNotSchedule",
    monitored: true,
    command: () => kustomize("overlays/production"),
  },
  {
    name: "chart user",
    zones: "ScheduleAnyway",
    monitored: true,
    command: () => [
      requirePart("helm"),
      ...["template", "user", join(deploy, "helm", "user"), "--kube-version", "1.34.1"],
      ...monitored,
    ],
  },
];

const objects = new Map<string, readonly Json[]>();
before(async () => {
  if (guard.skip !== false) return;
  for (const { name, command } of renderings) {
    const [program, ...args] = command();
    const rendered = await runProcess(program, args, { timeout: 60_000 });
    assert.equal(rendered.code, 0, rendered.stderr);
    objects.set(
      name,
      [...parseAllDocuments(rendered.stdout)].map((document) => document.toJS() as Json),
    );
  }
});
after(() => objects.clear());

for (const { name, zones, monitored: isMonitored } of renderings) {
  const all = (): readonly Json[] => objects.get(name) ?? [];
  const one = (kind: string): Json => {
    const found = all().filter((object) => textAt(object, "kind") === kind);
    assert.equal(found.length, 1, `${kind} in ${name}`);
    return found[0] ?? null;
  };
  const podSpec = (): Json => at(one("Deployment"), "spec", "template", "spec") ?? null;
  const container = (): Json => listAt(podSpec(), "containers")[0] ?? null;

  test(`${name}: a new pod is ready before an old one goes, and the autoscaler has the word on how many`, guard, () => {
    const deployment = one("Deployment");
    assert.deepEqual(at(deployment, "spec", "strategy"), {
      type: "RollingUpdate",
      rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
    });
    assert.equal(at(deployment, "spec", "replicas"), undefined);
  });

  test(`${name}: it is scaled by CPU and by memory, and shrinks one pod at a time`, guard, () => {
    const scaler = one("HorizontalPodAutoscaler");
    assert.equal(textAt(scaler, "spec", "scaleTargetRef", "name"), "user");
    const metrics = listAt(scaler, "spec", "metrics").map((metric) => [
      textAt(metric, "resource", "name"),
      textAt(metric, "resource", "target", "type"),
    ]);
    assert.deepEqual(metrics, [
      ["cpu", "Utilization"],
      ["memory", "Utilization"],
    ]);
    assert.deepEqual(at(scaler, "spec", "behavior", "scaleDown", "policies"), [
      { type: "Pods", value: 1, periodSeconds: 60 },
    ]);
    const [least, most] = ["minReplicas", "maxReplicas"].map((key) => Number(at(scaler, "spec", key)));
    assert.ok(least !== undefined && most !== undefined && least >= 1 && most > least);
  });

  test(`${name}: one pod at a time is taken for maintenance, and pods are spread over zones and nodes`, guard, () => {
    const budget = one("PodDisruptionBudget");
    assert.equal(at(budget, "spec", "maxUnavailable"), 1);
    const labels = at(one("Deployment"), "spec", "template", "metadata", "labels");
    const selects = (object: Json, ...path: string[]): void => {
      for (const [label, value] of Object.entries(Object(at(object, ...path)))) assert.equal(at(labels, label), value);
    };
    selects(budget, "spec", "selector", "matchLabels");
    const spread = listAt(podSpec(), "topologySpreadConstraints");
    assert.deepEqual(
      spread.map((constraint) => [textAt(constraint, "topologyKey"), textAt(constraint, "whenUnsatisfiable")]),
      [
        ["topology.kubernetes.io/zone", zones],
        ["kubernetes.io/hostname", "ScheduleAnyway"],
      ],
    );
    for (const constraint of spread) selects(constraint, "labelSelector", "matchLabels");
    selects(one("NetworkPolicy"), "spec", "podSelector", "matchLabels");
    selects(one("Service"), "spec", "selector");
  });

  test(`${name}: nothing but calls and probes gets in`, guard, () => {
    const policy = one("NetworkPolicy");
    assert.deepEqual(at(policy, "spec", "policyTypes"), ["Ingress"]);
    const ports = listAt(policy, "spec", "ingress").flatMap((rule) =>
      listAt(rule, "ports").map((port) => at(port, "port")),
    );
    assert.deepEqual(ports, [15006, 15021]);
  });

  test(`${name}: probes ask the sidecar, readiness by gRPC, which asks the application`, guard, () => {
    assert.deepEqual(at(container(), "readinessProbe", "grpc"), { port: 15021 });
    assert.deepEqual(at(container(), "livenessProbe", "httpGet"), { path: "/live", port: 15021 });
  });

  test(`${name}: the pod has notice + grace + 5 s to go`, guard, () => {
    const template = Object(at(one("Deployment"), "spec", "template"));
    const made = inject(template, { ...defaults, config: meshConfig() });
    assert.equal(made.kind, "injected");
    const loaded = loadConfig(configOf(made.pod), { file: "sidecar", env: { HOST_IP: "10.0.0.2" } });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const { notice, grace } = loaded.config.drain;
    assert.equal(at(podSpec(), "terminationGracePeriodSeconds"), (notice + grace) / 1000 + 5);
  });

  test(
    `${name}: nobody in the pod is root, writes its image, or has a capability; also the sidecar that it gets`,
    guard,
    () => {
      const template = at(one("Deployment"), "spec", "template");
      const made = inject(Object(template), defaults);
      assert.equal(made.kind, "injected");
      assert.equal(at(made.pod, "spec", "securityContext", "runAsNonRoot"), true);
      assert.equal(at(made.pod, "spec", "automountServiceAccountToken"), false);
      assert.equal(textAt(made.pod, "spec", "securityContext", "seccompProfile", "type"), "RuntimeDefault");
      const containers = [...listAt(made.pod, "spec", "containers"), ...listAt(made.pod, "spec", "initContainers")];
      assert.equal(containers.length, 2);
      for (const each of containers) {
        const context = at(each, "securityContext");
        assert.equal(at(context, "readOnlyRootFilesystem"), true);
        assert.equal(at(context, "allowPrivilegeEscalation"), false);
        assert.deepEqual(at(context, "capabilities"), { drop: ["ALL"] });
        assert.ok(Number(at(context, "runAsUser")) > 0);
      }
    },
  );

  test(`${name}: what is asked for is not below what was measured, the sidecar's included`, guard, () => {
    const made = inject(Object(at(one("Deployment"), "spec", "template")), defaults);
    assert.equal(made.kind, "injected");
    const [service] = listAt(made.pod, "spec", "containers");
    const [sidecar] = listAt(made.pod, "spec", "initContainers");
    const measuredService = Number(/, (\d+) MB after/.exec(read("services/user/README.md"))?.[1]);
    const measuredSidecar = Number(/\| resident memory, after +\| +([\d.]+)/.exec(read("test/results/bench.md"))?.[1]);
    for (const [what, measured] of [
      [service, measuredService],
      [sidecar, measuredSidecar],
    ] as const) {
      const request = mebibytes(textAt(what, "resources", "requests", "memory"));
      assert.ok(request * 1.048_576 >= measured, `${request} Mi, and ${measured} MB were measured`);
      assert.ok(mebibytes(textAt(what, "resources", "limits", "memory")) > request);
      assert.match(textAt(what, "resources", "requests", "cpu") ?? "", /^\d+m$/);
    }
  });

  if (isMonitored)
    test(`${name}: Prometheus reads the probe port`, guard, () => {
      const monitor = one("ServiceMonitor");
      const [endpoint] = listAt(monitor, "spec", "endpoints");
      assert.equal(textAt(endpoint, "path"), "/metrics");
      const port = listAt(one("Service"), "spec", "ports").find(
        (entry) => textAt(entry, "name") === textAt(endpoint, "port"),
      );
      assert.equal(at(port, "targetPort"), 15021);
    });
}

for (const [protocol, name, appProtocol, health] of [
  ["grpc", "grpc", "kubernetes.io/h2c", "grpc"],
  ["http2", "http", "kubernetes.io/h2c", "grpc"],
  ["http1", "http", "http", "tcp"],
  ["tcp", "tcp", undefined, "tcp"],
] as const)
  test(`chart user: a service of ${protocol}`, guard, async () => {
    const rendered = await helmTemplate("user", "--set", `service.protocol=${protocol},service.port=8080`);
    assert.equal(rendered.code, 0, rendered.stderr);
    const all = [...parseAllDocuments(rendered.stdout)].map((document) => document.toJS() as Json);
    const [port] = listAt(
      all.find((object) => textAt(object, "kind") === "Service"),
      "spec",
      "ports",
    );
    assert.deepEqual([at(port, "name"), at(port, "appProtocol"), at(port, "targetPort")], [name, appProtocol, 15006]);
    const template = at(
      all.find((object) => textAt(object, "kind") === "Deployment"),
      "spec",
      "template",
    );
    const made = inject(Object(template), { ...defaults, config: meshConfig() });
    assert.ok(made.kind === "injected", JSON.stringify(made));
    const loaded = loadConfig(configOf(made.pod), { file: "sidecar", env: { HOST_IP: "10.0.0.2" } });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const { service } = loaded.config;
    assert.deepEqual([service?.protocol, service?.health], [protocol, health]);
    assert.match(configOf(made.pod), /address: 127\.0\.0\.1:8080/);
  });

test("chart user: what its values cannot be is refused", guard, async () => {
  for (const [wrong, says] of [
    ["service.protocol=udp", /protocol/],
    ["service.port=70000", /port/],
    ["mesh.anotations.config=x", /anotations/],
    ["autoscaling.minReplicas=0", /minReplicas/],
  ] as const) {
    const refused = await helmTemplate("user", "--set", wrong);
    assert.equal(refused.code, 1, wrong);
    assert.match(refused.stderr, says);
  }
});

function helmTemplate(chart: string, ...more: string[]): Promise<Completed> {
  const args = ["template", "mesh", join(deploy, "helm", chart), "--kube-version", "1.34.1", ...more];
  return runProcess(requirePart("helm"), args, { timeout: 60_000 });
}

test(
  "chart outrigger: what becomes of pods while the injector is away, and what redirects traffic, are settings",
  guard,
  async () => {
    const render = async (...more: string[]): Promise<readonly Json[]> => {
      const rendered = await helmTemplate("outrigger", ...more);
      assert.equal(rendered.code, 0, rendered.stderr);
      return [...parseAllDocuments(rendered.stdout)].map((document) => document.toJS() as Json);
    };
    const find = (all: readonly Json[], kind: string): Json =>
      all.find((object) => textAt(object, "kind") === kind) ?? null;
    const args = (all: readonly Json[]): readonly Json[] =>
      listAt(listAt(find(all, "Deployment"), "spec", "template", "spec", "containers")[0], "args");
    const policies = (all: readonly Json[]): (string | undefined)[] =>
      listAt(find(all, "MutatingWebhookConfiguration"), "webhooks").map((hook) => textAt(hook, "failurePolicy"));
    const usual = await render();
    assert.deepEqual(policies(usual), ["Fail", "Fail"]);
    assert.ok(!args(usual).some((arg) => String(JSON.stringify(arg)).includes("capture-image")));
    const changed = await render("--set", "webhook.failurePolicy=Ignore,sidecar.captureImage=rules:2");
    assert.deepEqual(policies(changed), ["Ignore", "Ignore"]);
    assert.ok(args(changed).includes("--capture-image=rules:2"));
  },
);

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** What the injector's chart gives every sidecar. */
function meshConfig(): string {
  const [values] = parseAllDocuments(read("deploy/helm/outrigger/values.yaml"));
  return textAt(values?.toJS() as Json, "sidecar", "config") ?? "";
}

function mebibytes(quantity: string | undefined): number {
  const [, number] = /^(\d+)Mi$/.exec(quantity ?? "") ?? [];
  assert.ok(number !== undefined, `${quantity ?? "nothing"} is no number of MiB`);
  return Number(number);
}
