import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { issueCertificate, makeAuthority } from "../../src/identity/make-certificate.ts";
import { ApiError, KubernetesApi } from "../../src/kubernetes/api.ts";
import { at, type Json, type JsonObject, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { Webhook } from "../../src/kubernetes/webhook.ts";
import { WebhookCertificate } from "../../src/kubernetes/webhook-certificate.ts";
import { type ApiServer, startApiServer } from "../support/kubernetes.ts";
import { freePort } from "../support/ports.ts";
import { type RunningProcess, runProcess, startProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// Against a real API server. It has no kubelet, so pods stay pending: what counts is what it makes of them when they come.

const root = join(import.meta.dirname, "..", "..");
const deploy = join(root, "deploy");
const guard = skipUnless("kube-apiserver", "kubectl", "etcd");
const withHelm = skipUnless("kube-apiserver", "kubectl", "etcd", "helm");
let server: ApiServer;
let injector: RunningProcess;
let port: number;

const WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/outrigger-injector";
const SECRET = "/api/v1/namespaces/outrigger/secrets/outrigger-injector-certificate";

before(async () => {
  if (guard.skip !== false) return;
  server = await startApiServer();
  await succeed(["create", "namespace", "shop"]);
  await succeed(["create", "namespace", "meshed"]);
  await succeed(["label", "namespace", "meshed", "outrigger.dev/inject=enabled"]);
  // The manifests as they are, but for where the webhook is: there is no network of pods here that would lead to it.
  port = await freePort();
  const rendered = (await succeed(["kustomize", join(deploy, "kubernetes", "injector")])).replaceAll(
    /clientConfig:\n\s+service:\n(\s+\w+: \S+\n){4}/g,
    `clientConfig: { url: "https://127.0.0.1:${port}/inject" }\n`,
  );
  await succeed(["apply", "-f", "-"], rendered);
  injector = await startInjector();
});
after(async () => {
  if (guard.skip !== false) return;
  injector.signal("SIGKILL");
  await injector.exited;
  await server.stop();
});

async function succeed(args: readonly string[], input?: string): Promise<string> {
  const done = await server.kubectl(args, input);
  assert.equal(done.code, 0, `kubectl ${args.join(" ")}\n${done.stdout}\n${done.stderr}`);
  return done.stdout;
}

/** As its account of the manifests may: RBAC is the API server's own. */
async function startInjector(): Promise<RunningProcess> {
  const started = await startProcess(process.execPath, [
    join(root, "src", "main.ts"),
    "injector",
    ...["--listen", `127.0.0.1:${port}`, "--namespace", "outrigger", "--image", "outrigger:test"],
    ...["--server", server.url, "--server-ca", server.caFile, "--token-file", server.tokenFiles.injector],
  ]);
  await started.line(/^outrigger injector ready /, 60_000);
  return started;
}

function manifest(name: string, labels: string, annotations = ""): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: user, ${labels} }, annotations: { ${annotations} } }
spec: { containers: [{ name: user, image: "user:1", ports: [{ name: grpc, containerPort: 50051 }] }] }
`;
}

async function created(namespace: string, text: string): Promise<Json> {
  return JSON.parse(await succeed(["create", "-n", namespace, "-o", "json", "-f", "-"], text));
}

function initNames(pod: Json): (string | undefined)[] {
  return listAt(pod, "spec", "initContainers").map((container) => textAt(container, "name"));
}

function initImages(pod: Json): (string | undefined)[] {
  return listAt(pod, "spec", "initContainers").map((container) => textAt(container, "image"));
}

test("a pod that asks for it comes back with the sidecar, and one that does not as it was", guard, async () => {
  const asking = await created("shop", manifest("asking", "outrigger.dev/inject: enabled"));
  assert.deepEqual(initNames(asking), ["outrigger"]);
  assert.equal(textAt(listAt(asking, "spec", "initContainers")[0], "restartPolicy"), "Always");
  assert.equal(textAt(listAt(asking, "spec", "initContainers")[0], "image"), "outrigger:test");
  assert.match(textAt(asking, "metadata", "annotations", "outrigger.dev/rendered-config") ?? "", /name: user/);
  const other = await created("shop", manifest("other", "tier: back"));
  assert.deepEqual(initNames(other), []);
});

test("in a namespace that asks for it every pod has it, but for one that refuses", guard, async () => {
  assert.deepEqual(initNames(await created("meshed", manifest("one", "tier: back"))), ["outrigger"]);
  assert.deepEqual(initNames(await created("meshed", manifest("two", "outrigger.dev/inject: disabled"))), []);
  assert.deepEqual(initNames(await created("meshed", manifest("three", "outrigger.dev/inject: enabled"))), [
    "outrigger",
  ]);
});

test("a pod whose annotations make no sense is not made, and kubectl shows why", guard, async () => {
  const text = manifest("wrong", "outrigger.dev/inject: enabled", "outrigger.dev/protocol: grcp");
  const refused = await server.kubectl(["create", "-n", "shop", "-f", "-"], text);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /annotation outrigger\.dev\/protocol is "grcp", expected grpc, .* did you mean "grpc"\?/,
  );
  assert.equal(await server.api.get("/api/v1/namespaces/shop/pods/wrong"), undefined);
});

test("a dry run shows the sidecar and makes nothing", guard, async () => {
  const text = manifest("dry", "outrigger.dev/inject: enabled");
  const shown: Json = JSON.parse(
    await succeed(["create", "-n", "shop", "--dry-run=server", "-o", "json", "-f", "-"], text),
  );
  assert.deepEqual(initNames(shown), ["outrigger"]);
  assert.equal(await server.api.get("/api/v1/namespaces/shop/pods/dry"), undefined);
});

test("a pod with a sidecar that was put into its manifest by hand has one, not two", guard, async () => {
  const main = join(root, "src", "main.ts");
  const byHand = await runProcess(process.execPath, [main, "inject", "-f", "-", "--image", "outrigger:old"], {
    input: manifest("by-hand", "outrigger.dev/inject: enabled"),
  });
  const pod = await created("shop", byHand.stdout);
  assert.deepEqual(initNames(pod), ["outrigger"]);
  assert.equal(textAt(listAt(pod, "spec", "initContainers")[0], "image"), "outrigger:test");
});

test("every kind of capture and mode that the injector can make is taken by the API server", guard, async () => {
  for (const [name, annotations] of [
    ["captured", "outrigger.dev/capture: enabled"],
    ["beside", "outrigger.dev/mode: container, outrigger.dev/consul-token-secret: a/b"],
    [
      "limited",
      'outrigger.dev/cpu-limit: "1", outrigger.dev/memory-limit: 1Gi, outrigger.dev/image-pull-policy: Always',
    ],
  ] as const)
    await created("shop", manifest(name, "outrigger.dev/inject: enabled", annotations));
});

test("the injector may do what it does and nothing else", guard, async () => {
  const ca = readFileSync(server.caFile, "utf8");
  const api = new KubernetesApi({ url: server.url, ca, tokenFile: server.tokenFiles.injector });
  for (const path of [
    "/api/v1/namespaces/outrigger/secrets",
    "/api/v1/namespaces/shop/secrets",
    "/api/v1/namespaces/shop/pods",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  ])
    await assert.rejects(api.get(path), (error) => error instanceof ApiError && error.status === 403, path);
  assert.ok(await api.get(SECRET));
});

test("a certificate that is due is replaced for all replicas, and pods are made all the while", guard, async () => {
  const before = textAt(await server.api.get(SECRET), "data", "tls.crt");
  const bundleBefore = await bundle();
  // Another replica, in whose eyes 25 of the 30 days have passed.
  const used: string[] = [];
  const clock: Clock = {
    now: () => systemClock.now(),
    wall: () => systemClock.wall() + 25 * 86_400_000,
    setTimer: (delay, callback) => systemClock.setTimer(delay, callback),
  };
  const ca = readFileSync(server.caFile, "utf8");
  const other = new WebhookCertificate({
    api: new KubernetesApi({ url: server.url, ca, tokenFile: server.tokenFiles.injector }),
    clock,
    log: pino({ level: "silent" }),
    namespace: "outrigger",
    service: "outrigger-injector",
    secret: "outrigger-injector-certificate",
    webhook: "outrigger-injector",
    onCertificate: ({ certificate }) => used.push(certificate),
  });
  await other.start();
  other.stop();
  assert.equal(used.length, 1);
  assert.notEqual(textAt(await server.api.get(SECRET), "data", "tls.crt"), before);
  const bundleAfter = await bundle();
  assert.ok(bundleAfter.includes(bundleBefore.split("-----END")[0] ?? "?"), "the authority before is still believed");
  // The first replica has not looked yet: it is still believed.
  assert.deepEqual(initNames(await created("shop", manifest("meanwhile", "outrigger.dev/inject: enabled"))), [
    "outrigger",
  ]);
});

async function bundle(): Promise<string> {
  const hook = listAt(await server.api.get(WEBHOOK), "webhooks")[0];
  return Buffer.from(textAt(hook, "clientConfig", "caBundle") ?? "", "base64").toString();
}

test("while the injector is away a pod that asks is not made, and it is again once it is back", guard, async () => {
  injector.signal("SIGTERM");
  assert.equal((await injector.exited).code, 0);
  const text = manifest("away", "outrigger.dev/inject: enabled");
  const failed = await server.kubectl(["create", "-n", "shop", "-f", "-"], text);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /pods\.outrigger\.dev/);
  assert.deepEqual(initNames(await created("shop", manifest("unasked", "tier: back"))), []);

  // The chart's webhook.failurePolicy: Ignore, which the API server hears of after a moment.
  await setFailurePolicy("Ignore");
  const dryRun = ["create", "-n", "shop", "--dry-run=server", "-f", "-"];
  await eventually(
    async () => (await server.kubectl(dryRun, text)).code === 0,
    () => "the other policy",
    60_000,
  );
  assert.deepEqual(initNames(await created("shop", manifest("ignored", "outrigger.dev/inject: enabled"))), []);
  await setFailurePolicy("Fail");
  await eventually(
    async () => (await server.kubectl(dryRun, text)).code === 1,
    () => "the policy before",
    60_000,
  );

  injector = await startInjector();
  await sleep(100);
  assert.deepEqual(initNames(await created("shop", text)), ["outrigger"]);
});

async function setFailurePolicy(policy: "Fail" | "Ignore"): Promise<void> {
  await server.api.patch(
    WEBHOOK,
    [0, 1].map((hook) => ({ op: "replace", path: `/webhooks/${hook}/failurePolicy`, value: policy })),
  );
}

/** A webhook for pods with the label `hook: NAME`, at a URL on this machine. */
function hookFor(name: string, url: string, caBundle: string): JsonObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.org`,
        clientConfig: { url, ...(caBundle === "" ? {} : { caBundle: Buffer.from(caBundle).toString("base64") }) },
        rules: [
          { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "Namespaced" },
        ],
        objectSelector: { matchLabels: { hook: name } },
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        failurePolicy: "Fail",
      },
    ],
  };
}

const HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const DRY_PODS = "/api/v1/namespaces/shop/pods?dryRun=All";

function podFor(hook: string, labels: JsonObject = {}): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "pod-", labels: { hook, app: "user", ...labels } },
    spec: { containers: [{ name: "user", image: "user:1", ports: [{ name: "grpc", containerPort: 50051 }] }] },
  };
}

/** Until the API server has heard of a webhook: pods of before go past it. */
async function heardOf(isSo: (pod: Json) => boolean, sent: JsonObject): Promise<void> {
  await eventually(
    async () => isSo(await server.api.create(DRY_PODS, sent)),
    () => "pods to which the webhook was applied",
    60_000,
  );
}

test(
  "what another webhook adds after the injector is in the sidecar's configuration, for the injector is asked again",
  guard,
  async () => {
    const now = Date.now();
    const times = { notBefore: now - 60_000, notAfter: now + 3_600_000 };
    const authority = await makeAuthority({ commonName: "another", ...times });
    const leaf = await issueCertificate(authority, { commonName: "another", dns: [], ips: ["127.0.0.1"], ...times });
    const path = "/metadata/annotations/outrigger.dev~1log-level";
    const answerTo = (review: Json): JsonObject => {
      const had = at(review, "request", "object", "metadata", "annotations", "outrigger.dev/log-level") !== undefined;
      const patch = Buffer.from(JSON.stringify([{ op: "add", path, value: "debug" }])).toString("base64");
      const uid = textAt(review, "request", "uid") ?? "";
      return {
        ...{ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" },
        response: { uid, allowed: true, ...(had ? {} : { patchType: "JSONPatch", patch }) },
      };
    };
    const another = createServer({ cert: leaf.certificate, key: leaf.key }, (request, response) => {
      response.setHeader("content-type", "application/json");
      text(request).then(
        (body) => response.end(JSON.stringify(answerTo(JSON.parse(body)))),
        () => response.destroy(),
      );
    });
    await new Promise<void>((resolve) => another.listen(0, "127.0.0.1", resolve));
    const address = another.address();
    assert.ok(typeof address === "object" && address !== null);
    try {
      // Webhooks are asked in the order of their names.
      const name = "zz-another";
      await server.api.create(HOOKS, hookFor(name, `https://127.0.0.1:${address.port}/`, authority.certificate));
      const configured = (pod: Json): string =>
        textAt(pod, "metadata", "annotations", "outrigger.dev/rendered-config") ?? "";
      const asking = podFor(name, { "outrigger.dev/inject": "enabled" });
      await heardOf((pod) => /level: debug/.test(configured(pod)), asking);
      const pod = await server.api.create(DRY_PODS, asking);
      assert.deepEqual(initNames(pod), ["outrigger"]);
      assert.match(configured(pod), /level: debug/);
    } finally {
      await server.kubectl(["delete", "mutatingwebhookconfiguration", "zz-another"]);
      another.closeAllConnections();
      another.close();
    }
  },
);

test(
  "while a certificate is replaced by itself every pod is made, by connections from before and after",
  guard,
  async () => {
    const asking = podFor("rotating");
    const used: string[] = [];
    const log = pino({ level: "silent" });
    const webhook = new Webhook({
      host: "127.0.0.1",
      port: 0,
      log,
      defaults: { image: "rotating:1", mode: "native", capture: false, captureImage: undefined, config: "" },
    });
    const at = await webhook.listen();
    // It begins 20 days ago, and once it has come to today time passes fifteen times as fast, but it is never so far ahead that the API
    // server would not believe its certificates yet.
    let behind = 20 * 86_400_000;
    let start = systemClock.wall();
    const clock: Clock = {
      now: () => systemClock.now(),
      wall: () => systemClock.wall() - behind + Math.min(14 * (systemClock.wall() - start), 240_000),
      setTimer: (delay, callback) => systemClock.setTimer(delay / 15, callback),
    };
    const certificate = new WebhookCertificate({
      api: server.api,
      clock,
      log,
      namespace: "outrigger",
      service: "rotating",
      secret: "rotating-certificate",
      webhook: "rotating",
      onCertificate: (pair) => {
        used.push(pair.certificate);
        webhook.useCertificate(pair);
      },
    });
    try {
      // The injector's own webhook is not for these pods.
      await server.api.create(HOOKS, hookFor("rotating", `https://127.0.0.1:${at}/inject`, ""));
      await certificate.start();
      await heardOf((pod) => initImages(pod).includes("rotating:1"), asking);
      behind = 0;
      start = systemClock.wall();
      let made = 0;
      const make = async (): Promise<void> => {
        assert.ok(initImages(await server.api.create(DRY_PODS, asking)).includes("rotating:1"));
        made++;
      };
      const end = Date.now() + 60_000;
      while (used.length < 2 && Date.now() < end) await make();
      assert.equal(used.length, 2);
      certificate.stop();
      // Another URL is another connection, with the new certificate.
      await server.api.patch(`${HOOKS}/rotating`, [
        { op: "replace", path: "/webhooks/0/clientConfig/url", value: `https://localhost:${at}/inject` },
      ]);
      for (const before = made; made < before + 20; ) await make();
      assert.ok(made > 20);
    } finally {
      certificate.stop();
      await server.kubectl(["delete", "mutatingwebhookconfiguration", "rotating"]);
      await webhook.close();
    }
  },
);

async function helm(args: readonly string[]): Promise<string> {
  const done = await runProcess(requirePart("helm"), args, { timeout: 60_000 });
  assert.equal(done.code, 0, `helm ${args.join(" ")}\n${done.stdout}\n${done.stderr}`);
  return done.stdout;
}

/** A helm that was built from its sources takes itself to speak to Kubernetes 1.20. */
function template(release: string, chart: string, more: readonly string[] = []): Promise<string> {
  return helm(["template", release, chart, "--kube-version", "1.34.1", ...more]);
}

const MONITOR = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: servicemonitors.monitoring.coreos.com }
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: { plural: servicemonitors, singular: servicemonitor, kind: ServiceMonitor }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
`;

test(
  "manifests and charts are rendered, linted and taken by the API server, which validates them strictly",
  withHelm,
  async () => {
    // Of the Prometheus operator only the name of its resource: what it would say of the object is not tested.
    await succeed(["apply", "-f", "-"], MONITOR);
    await succeed([
      "wait",
      "--for=condition=Established",
      "crd/servicemonitors.monitoring.coreos.com",
      "--timeout=60s",
    ]);
    const dryRun = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    for (const overlay of ["development", "production"]) {
      const text = await succeed(["kustomize", join(deploy, "kubernetes", "overlays", overlay)]);
      const namespace = overlay === "production" ? "shop" : "shop-development";
      if (namespace !== "shop") await succeed(["create", "namespace", namespace]);
      await succeed(dryRun, text);
    }
    await succeed(dryRun, await succeed(["kustomize", join(deploy, "kubernetes", "injector")]));
    for (const example of ["http1", "tcp"]) {
      const path = join(deploy, "kubernetes", "examples", `${example}.yaml`);
      await succeed(["apply", "--dry-run=server", "--validate=strict", "-n", "shop", "-f", path]);
    }

    for (const chart of ["outrigger", "user"]) {
      const folder = join(deploy, "helm", chart);
      assert.match(await helm(["lint", "--strict", folder]), /0 chart\(s\) failed/);
      const others: Readonly<Record<string, readonly string[]>> = {
        user: [
          "serviceMonitor.create=always,database.secret.name=db,database.secret.key=url",
          "service.protocol=http1,mesh.annotations.health=http",
          "service.protocol=tcp,networkPolicy.create=never",
        ],
        outrigger: ["webhook.failurePolicy=Ignore,sidecar.capture=enabled,sidecar.mode=container"],
      };
      for (const values of [[], ...(others[chart] ?? []).map((set) => ["--set", set])])
        await succeed([...dryRun, "-n", "shop"], await template(`my-${chart}`, folder, ["-n", "shop", ...values]));
    }
    const wrong = await runProcess(requirePart("helm"), [
      ...["template", "x", join(deploy, "helm", "outrigger"), "--set", "sidecar.mode=sidecar"],
    ]);
    assert.match(wrong.stderr, /mode/);
  },
);

test("the pods of the chart and of the manifests get the sidecar", withHelm, async () => {
  for (const text of [
    await succeed(["kustomize", join(deploy, "kubernetes", "base")]),
    await template("user", join(deploy, "helm", "user")),
  ]) {
    const deployment = text.split("\n---\n").find((part) => /^kind: Deployment$/m.test(part));
    assert.ok(deployment);
    const parsed: Json = JSON.parse(await succeed(["create", "--dry-run=client", "-o", "json", "-f", "-"], deployment));
    const template = at(parsed, "spec", "template");
    assert.ok(template !== undefined);
    const pod = { apiVersion: "v1", kind: "Pod", ...Object(template) };
    const named = { ...pod, metadata: { ...Object(at(template, "metadata")), generateName: "user-" } };
    const made = await created("shop", JSON.stringify(named));
    assert.deepEqual(initNames(made), ["outrigger"]);
    assert.equal(at(made, "spec", "terminationGracePeriodSeconds"), 35);
  }
});
