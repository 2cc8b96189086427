import assert from "node:assert/strict";
import { test } from "node:test";
import type { Annotation } from "../../src/kubernetes/annotations.ts";
import { at, type JsonObject, textAt } from "../../src/kubernetes/json-patch.ts";
import { inject } from "../../src/kubernetes/pod.ts";
import type { MeshDefaults } from "../../src/kubernetes/settings.ts";
import { configOf, defaults, injected, named, names, pod, problemsOf } from "./pods.ts";

test("a pod gets one sidecar, which starts before the application and goes after it", () => {
  const made = injected(pod({}, { initContainers: [{ name: "migrate", image: "user:1" }] }));
  assert.deepEqual(names("initContainers", made), ["outrigger", "migrate"]);
  assert.deepEqual(names("containers", made), ["user"]);
  assert.deepEqual(names("volumes", made), ["outrigger-config"]);
  assert.equal(named("initContainers", "outrigger", made).restartPolicy, "Always");
  assert.equal(named("initContainers", "outrigger", made).image, defaults.image);
});

test("injecting again gives the same again, and with a newer image the newer sidecar alone", () => {
  const once = injected(pod());
  assert.deepEqual(injected(once), once);
  const newer = injected(once, { ...defaults, image: "registry.example/outrigger:2" });
  assert.deepEqual(names("initContainers", newer), ["outrigger"]);
  assert.equal(named("initContainers", "outrigger", newer).image, "registry.example/outrigger:2");
  const otherMode = injected(once, { ...defaults, mode: "container" });
  assert.deepEqual(names("containers", otherMode), ["outrigger", "user"]);
  assert.equal(at(otherMode, "spec", "initContainers"), undefined);
});

test("beside the application it comes first and holds the others back until it is ready", () => {
  const made = injected(pod({ mode: "container" }));
  assert.deepEqual(names("containers", made), ["outrigger", "user"]);
  const sidecar = named("containers", "outrigger", made);
  assert.equal(sidecar.restartPolicy, undefined);
  assert.deepEqual(at(sidecar, "lifecycle", "postStart", "exec", "command"), ["outrigger", "wait", "--timeout", "2m"]);
});

test("the sidecar may do nothing that it has no need of", () => {
  const sidecar = named("initContainers", "outrigger", injected(pod()));
  assert.deepEqual(sidecar.securityContext, {
    runAsUser: 15001,
    runAsGroup: 15001,
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  });
});

test("the pod has the time to drain: notice, grace and 5 s, or what it has itself where that is longer", () => {
  const grace = (given: ReturnType<typeof pod>) => at(injected(given), "spec", "terminationGracePeriodSeconds");
  assert.equal(grace(pod()), 35);
  assert.equal(grace(pod({ config: "drain: { notice: 10s, grace: 60s }" })), 75);
  assert.equal(grace(pod({}, { terminationGracePeriodSeconds: 300 })), 300);
  assert.equal(grace(pod({}, { terminationGracePeriodSeconds: 1 })), 35);
});

test("the service is named by the annotation, else by the usual labels, and its port by the annotation, else by the name grpc", () => {
  assert.match(configOf(injected(pod())), /name: user\n {2}address: 127\.0\.0\.1:50051/);
  assert.match(
    configOf(injected(pod({ service: "people", port: "8080" }))),
    /name: people\n {2}address: 127\.0\.0\.1:8080/,
  );
  assert.match(configOf(injected(pod({ port: "grpc" }))), /address: 127\.0\.0\.1:50051/);
  assert.doesNotMatch(configOf(injected(pod({ service: "none" }))), /service:/);
});

test("a pod whose labels name it and that has no port only calls others", () => {
  const caller = pod({}, { containers: [{ name: "cron", image: "cron:1" }] });
  assert.doesNotMatch(configOf(injected(caller)), /service:/);
});

test("the configuration is the mesh's, with the pod's own part over it", () => {
  const text = configOf(
    injected(pod({ config: "service: { tags: [v2] }\nupstreams: { orders: { timeout: 2s } }", "log-level": "debug" })),
  );
  for (const part of [/http:\/\/\$\{HOST_IP\}:8500/, /tags:\n {4}- v2/, /name: user/, /timeout: 2s/, /level: debug/])
    assert.match(text, part);
});

test("resources, image and token come from the annotations", () => {
  const sidecar = named(
    "initContainers",
    "outrigger",
    injected(
      pod({
        image: "registry.example/other:3",
        "image-pull-policy": "Always",
        "cpu-request": "1",
        "cpu-limit": "2",
        "memory-request": "200Mi",
        "memory-limit": "1Gi",
        "consul-token-secret": "consul/token",
      }),
    ),
  );
  assert.equal(sidecar.image, "registry.example/other:3");
  assert.equal(sidecar.imagePullPolicy, "Always");
  assert.deepEqual(sidecar.resources, { requests: { cpu: "1", memory: "200Mi" }, limits: { cpu: "2", memory: "1Gi" } });
  assert.ok(JSON.stringify(sidecar.env).includes('{"secretKeyRef":{"name":"consul","key":"token"}}'));
});

test("who says only one of request and limit has the other follow, for what is asked for is never above the limit", () => {
  const resources = (annotations: Readonly<Record<string, string>>) =>
    named("initContainers", "outrigger", injected(pod(annotations))).resources;
  assert.deepEqual(resources({ "memory-limit": "128Mi", "cpu-limit": "20m" }), {
    requests: { cpu: "20m", memory: "128Mi" },
    limits: { cpu: "20m", memory: "128Mi" },
  });
  assert.deepEqual(resources({ "memory-request": "1Gi", "cpu-request": "0.5" }), {
    requests: { cpu: "0.5", memory: "1Gi" },
    limits: { memory: "1Gi" },
  });
  assert.deepEqual(resources({ "memory-limit": "1G" }), {
    requests: { cpu: "50m", memory: "192Mi" },
    limits: { memory: "1G" },
  });
  assert.match(
    problemsOf(pod({ "memory-request": "1Gi", "memory-limit": "1G" })),
    /^annotation outrigger\.dev\/memory-request is 1Gi, which is more than the limit of 1G$/,
  );
});

test("volumes of the pod that the sidecar is to see are there, to read", () => {
  const volumes = [
    { name: "spiffe", csi: { driver: "csi.spiffe.io", readOnly: true } },
    { name: "tls", secret: {} },
  ];
  const made = injected(pod({ "volume-mounts": "spiffe:/run/spiffe, tls:/etc/tls" }, { volumes }));
  assert.deepEqual(at(named("initContainers", "outrigger", made), "volumeMounts"), [
    { name: "outrigger-config", mountPath: "/etc/outrigger", readOnly: true },
    { name: "spiffe", mountPath: "/run/spiffe", readOnly: true },
    { name: "tls", mountPath: "/etc/tls", readOnly: true },
  ]);
  assert.deepEqual(injected(made), made);
  const other = pod({ "volume-mounts": "spire:/run/spire" }, { volumes });
  assert.match(problemsOf(other), /volume-mounts names the volume "spire"; the pod has spiffe, tls/);
  assert.match(problemsOf(pod({ "volume-mounts": "spire" })), /volume-mounts has "spire", expected VOLUME:\/PATH/);
});

test("captured traffic is redirected before anything else runs, by a container that may change the pod's network", () => {
  const made = injected(pod({ capture: "enabled" }));
  assert.deepEqual(names("initContainers", made), ["outrigger-capture", "outrigger"]);
  const capture = named("initContainers", "outrigger-capture", made);
  assert.deepEqual(at(capture, "securityContext", "capabilities"), { drop: ["ALL"], add: ["NET_ADMIN"] });
  assert.ok(JSON.stringify(capture.args).includes('"--user","15001"'));
  assert.equal(capture.image, "registry.example/outrigger-capture:1");
  assert.match(configOf(made), /^capture: \{\}$/m, "somebody has to listen where it leads");
  const older = injected(pod({ capture: "enabled", config: "capture: { rules: iptables }" }));
  assert.deepEqual(at(named("initContainers", "outrigger-capture", older), "securityContext", "capabilities", "add"), [
    "NET_ADMIN",
    "NET_RAW",
  ]);
});

test("the image that redirects goes with the sidecar's, unless it is named", () => {
  const captureImage = (annotations: Readonly<Record<string, string>>, more: Partial<MeshDefaults> = {}) =>
    named(
      "initContainers",
      "outrigger-capture",
      injected(pod({ capture: "enabled", ...annotations }), { ...defaults, ...more }),
    ).image;
  assert.equal(captureImage({ image: "localhost:5000/mesh/outrigger" }), "localhost:5000/mesh/outrigger-capture");
  assert.equal(captureImage({}, { captureImage: "rules:2" }), "rules:2");
  const digest = "outrigger@sha256:0123";
  assert.equal(captureImage({ image: digest, "capture-image": "rules:3" }, { captureImage: "rules:2" }), "rules:3");
  assert.match(
    problemsOf(pod({ capture: "enabled", image: digest })),
    /annotation outrigger\.dev\/capture-image is missing: what goes with outrigger@sha256:0123/,
  );
  assert.match(
    problemsOf(pod({ "capture-image": "rules:3" })),
    /capture-image has no effect without outrigger\.dev\/capture/,
  );
});

test("a pod that does not want it, or that is in its node's network, is left alone", () => {
  const unwilling = { ...pod(), metadata: { labels: { "outrigger.dev/inject": "disabled" } } };
  assert.equal(inject(unwilling, defaults).kind, "skipped");
  assert.equal(inject(pod({}, { hostNetwork: true }), defaults).kind, "skipped");
});

test("a pod for other systems, or one that a kubelet has started by itself, is left alone", () => {
  for (const spec of [{ os: { name: "windows" } }, { nodeSelector: { "kubernetes.io/os": "windows" } }]) {
    const result = inject(pod({}, spec), defaults);
    assert.ok(result.kind === "skipped");
    assert.match(result.why, /windows/);
  }
  const mirror = { ...pod(), metadata: { annotations: { "kubernetes.io/config.mirror": "abc" } } };
  assert.equal(inject(mirror, defaults).kind, "skipped");
  assert.equal(inject(pod({}, { nodeSelector: { "kubernetes.io/os": "linux" } }), defaults).kind, "injected");
});

test("an application of another protocol says which, how it is asked, and has its port found by its usual name", () => {
  const ports = [
    { name: "metrics", containerPort: 9100 },
    { name: "http", containerPort: 8080 },
    { name: "grpc", containerPort: 9000 },
  ];
  const web = pod(
    { protocol: "http1", health: "http", "health-path": "/healthz" },
    { containers: [{ name: "web", ports }] },
  );
  assert.match(
    configOf(injected(web)),
    /name: user\n {2}address: 127\.0\.0\.1:8080\n {2}protocol: http1\n {2}health: http\n {2}healthPath: \/healthz\n/,
  );
  const store = pod(
    { protocol: "tcp", health: "tcp" },
    { containers: [{ name: "db", ports: [{ containerPort: 5432 }] }] },
  );
  assert.match(configOf(injected(store)), /address: 127\.0\.0\.1:5432\n {2}protocol: tcp\n {2}health: tcp\n/);
  assert.match(
    problemsOf(pod({ health: "http", "health-path": "healthz" })),
    /health-path is "healthz", expected \/PATH/,
  );
  assert.match(problemsOf(pod({ health: "grpc", "health-path": "/x" })), /healthPath/);
});

test("variables that the configuration uses come from Secrets, one by one", () => {
  const config = `rateLimits: [{ name: a, direction: inbound, key: [remote.address], limit: 5/s, store: "redis://:\${REDIS_PASSWORD}@redis:6379" }]`;
  assert.match(problemsOf(pod({ config })), /REDIS_PASSWORD/);
  const made = injected(pod({ config, "secret-env": "REDIS_PASSWORD=redis/password, OTHER=x/y.z" }));
  const env = JSON.stringify(named("initContainers", "outrigger", made).env);
  assert.ok(
    env.includes('{"name":"REDIS_PASSWORD","valueFrom":{"secretKeyRef":{"name":"redis","key":"password"}}}'),
    env,
  );
  assert.ok(env.includes('{"name":"OTHER","valueFrom":{"secretKeyRef":{"name":"x","key":"y.z"}}}'), env);
  // The whole of a value may be secret: what it will be is guessed, so that it is no mistake.
  const url = `rateLimits: [{ name: a, direction: inbound, key: [remote.address], limit: 5/s, store: '\${REDIS_URL}' }]`;
  const whole = `${url}\ndiscovery: { consul: { address: "\${CONSUL_URL}" } }`;
  injected(pod({ config: whole, "secret-env": "REDIS_URL=redis/url, CONSUL_URL=consul/url" }));
  assert.match(
    problemsOf(
      pod({ config: `${whole}\nlog: { level: loud }`, "secret-env": "REDIS_URL=redis/url, CONSUL_URL=c/url" }),
    ),
    /^(?!.*REDIS_URL).*log\.level/s,
  );
  const secretEnv = (text: string) => problemsOf(pod({ "secret-env": text }));
  assert.match(secretEnv("A"), /secret-env has "A", expected NAME=SECRET\/KEY/);
  assert.match(secretEnv("A=b"), /secret-env has "b", expected NAME=SECRET\/KEY/);
  assert.match(secretEnv("A=b/c, A=d/e"), /secret-env has A twice/);
  assert.match(secretEnv("POD_IP=b/c"), /secret-env has POD_IP, which is the pod's own/);
});

test("a volume that the sidecar may write in, and none where its own configuration is", () => {
  const volumes = [{ name: "cache", emptyDir: {} }];
  const made = injected(pod({ "volume-mounts": "cache:/var/lib/outrigger:rw" }, { volumes }));
  assert.deepEqual(at(named("initContainers", "outrigger", made), "volumeMounts"), [
    { name: "outrigger-config", mountPath: "/etc/outrigger", readOnly: true },
    { name: "cache", mountPath: "/var/lib/outrigger" },
  ]);
  const other = (mounts: string) => problemsOf(pod({ "volume-mounts": mounts }, { volumes }));
  assert.match(other("cache:/etc/outrigger"), /but \/etc\/outrigger is taken/);
  assert.match(other("cache:/a, cache:/a"), /but \/a is taken/);
});

test("a pod that has the sidecar's names, ports or user for itself is refused, with what to change", () => {
  const having = (
    containers: JsonObject[],
    more: JsonObject = {},
    annotations: Readonly<Record<string, string>> = {},
  ) => problemsOf(pod(annotations, { containers, ...more }));
  const app = { name: "app", image: "app:1" };
  assert.match(
    having([{ ...app, name: "outrigger" }]),
    /^the pod has a container outrigger, which is how the sidecar's is called$/,
  );
  assert.match(
    having([app], { initContainers: [{ ...app, name: "outrigger-capture" }] }),
    /container outrigger-capture/,
  );
  assert.match(having([app], { volumes: [{ name: "outrigger-config", emptyDir: {} }] }), /volume outrigger-config/);

  const withPort = (containerPort: number, protocol = "TCP") => [{ ...app, ports: [{ containerPort, protocol }] }];
  const service = { service: "none" };
  assert.match(
    having(withPort(15021), {}, service),
    /^container app has port 15021, where the sidecar listens: give listeners\.probe another one in outrigger\.dev\/config$/,
  );
  assert.match(having(withPort(15011), {}, { ...service, capture: "enabled" }), /give capture\.outbound another one/);
  const listen = { ...service, config: "upstreams: { orders: { listen: 127.0.0.1:15101 } }" };
  assert.match(having(withPort(15101), {}, listen), /give upstreams\.orders\.listen another one/);
  // Who has no service has no inbound listener, and other protocols have ports of their own.
  for (const containers of [withPort(15006), withPort(15021, "UDP"), withPort(15011)])
    injected(pod(service, { containers }));
  injected(pod({ ...service, config: 'listeners: { probe: ":16021" }' }, { containers: withPort(15021) }));

  // A Service that names its port would lead to the application's.
  const called = (name: string) => [{ ...app, ports: [{ name, containerPort: 8080 }] }];
  assert.match(
    having(called("mesh-probe"), {}, service),
    /^container app has a port called mesh-probe, which is how the sidecar's is called$/,
  );
  assert.match(having(called("mesh-inbound"), {}, { service: "app" }), /port called mesh-inbound/);
  injected(pod(service, { containers: called("mesh-inbound") }));

  const own = [{ ...app, securityContext: { runAsUser: 15001 } }];
  assert.match(
    having(own, {}, { capture: "enabled" }),
    /^container app runs as user 15001, the sidecar's, so its traffic would not be/,
  );
  assert.match(
    having([app], { securityContext: { runAsUser: 15001 } }, { capture: "enabled" }),
    /container app runs as user 15001/,
  );
  injected(pod({}, { containers: own }));
  const overruled = [{ ...app, securityContext: { runAsUser: 1000 } }];
  injected(pod({ capture: "enabled" }, { containers: overruled, securityContext: { runAsUser: 15001 } }));
});

test("in a cluster of IPv6 addresses stand in brackets, and what is wrong in either kind is told", () => {
  const config = (open: string, close: string): MeshDefaults => ({
    ...defaults,
    config: `discovery: { consul: { address: "http://${open}\${HOST_IP}${close}:8500" } }\n`,
  });
  injected(pod(), config("[", "]"));
  injected(pod(), config("", ""));
  const wrong = inject(pod({ config: "drain: { grace: soon }" }), config("[", "]"));
  assert.equal(wrong.kind, "refused");
});

test("a pod without containers would be one of the sidecar alone, and is refused", () => {
  for (const containers of [[], null, "app", {}])
    for (const mode of ["native", "container"])
      assert.equal(problemsOf(pod({ mode, service: "none" }, { containers })), "it has no container");
});

/** A value of each annotation that differs from what holds without it, and what it shows in. */
const effects: Readonly<Record<Annotation, readonly [value: string, shows: RegExp, beside?: Record<string, string>]>> =
  {
    service: ["people", /name: people/],
    port: ["8080", /address: 127\.0\.0\.1:8080/],
    protocol: ["http2", /protocol: http2/],
    health: ["none", /health: none/],
    "health-path": ["/healthz", /healthPath: \/healthz/, { health: "http" }],
    config: ["drain: { grace: 60s }", /grace: 60s/],
    image: ["other:2", /"image":"other:2"/],
    "image-pull-policy": ["Always", /"imagePullPolicy":"Always"/],
    mode: ["container", /"postStart"/],
    capture: ["enabled", /"name":"outrigger-capture"/],
    "capture-image": ["rules:2", /"image":"rules:2"/, { capture: "enabled" }],
    "log-level": ["debug", /level: debug/],
    "consul-token-secret": ["consul/token", /"secretKeyRef":\{"name":"consul","key":"token"\}/],
    "secret-env": ["PASSWORD=redis/password", /"secretKeyRef":\{"name":"redis","key":"password"\}/],
    "volume-mounts": ["tls:/etc/tls", /"mountPath":"\/etc\/tls"/],
    "cpu-request": ["75m", /"cpu":"75m"/],
    "cpu-limit": ["3", /"limits":\{"cpu":"3"/],
    "memory-request": ["200Mi", /"memory":"200Mi"/],
    "memory-limit": ["500Mi", /"memory":"500Mi"/],
  };

for (const [name, [value, shows, others = {}]] of Object.entries(effects))
  test(`annotation ${name} has an effect`, () => {
    const volumes = [{ name: "tls", secret: {} }];
    const made = (annotations: Record<string, string>): string => {
      const all = injected(pod(annotations, { volumes }));
      // But for the annotations as they were given.
      return JSON.stringify(all.spec) + configOf(all);
    };
    assert.doesNotMatch(made(others), shows);
    assert.match(made({ ...others, [name]: value }), shows);
  });

test("init containers that are redirected before the sidecar runs are warned of", () => {
  const warnings = (annotations: Readonly<Record<string, string>>): string => {
    const result = inject(pod(annotations, { initContainers: [{ name: "migrate", image: "user:1" }] }), defaults);
    assert.ok(result.kind === "injected");
    return result.warnings.join("\n");
  };
  assert.match(warnings({ mode: "container", capture: "enabled" }), /^its init containers run before the sidecar does/);
  assert.equal(warnings({ mode: "container" }), "");
  assert.equal(warnings({ capture: "enabled" }), "");
});

/** Nine times nine times nine ... values in a few lines. */
function bomb(): string {
  const nine = (what: string): string => `[${Array(9).fill(what).join(", ")}]`;
  const lines = ["b", "c", "d", "e"].map((name, at) => `${name}: &${name} ${nine(`*${"abcd"[at]}`)}`);
  return [`a: &a ${nine("x")}`, ...lines].join("\n");
}

const wrong: [why: string, annotations: Record<string, string>, says: RegExp][] = [
  [
    "a misspelt annotation",
    { servce: "x" },
    /no annotation outrigger\.dev\/servce; did you mean outrigger\.dev\/service\?/,
  ],
  [
    "a word that is none",
    { protocol: "grcp" },
    /protocol is "grcp", expected grpc, http2, http1, tcp; did you mean "grpc"\?/,
  ],
  [
    "a port that is none",
    { port: "http" },
    /port is "http", which is neither a port nor the name of one; the pod has grpc \(50051\)/,
  ],
  ["a port beyond ports", { port: "70000" }, /port is "70000"/],
  ["a quantity that is none", { "memory-limit": "lots" }, /memory-limit is "lots", expected a quantity of memory/],
  ["a port without effect", { service: "none", port: "1" }, /port has no effect with service "none"/],
  ["YAML that is none", { config: "a: [" }, /annotation outrigger\.dev\/config:1:5: /],
  ["an alias of nothing", { config: "drain: *nothing" }, /annotation outrigger\.dev\/config: Unresolved alias/],
  [
    "a few aliases that are many values",
    { config: bomb() },
    /annotation outrigger\.dev\/config: Excessive alias count/,
  ],
  ["YAML that is no mapping", { config: "- a" }, /annotation outrigger\.dev\/config is not a mapping/],
  [
    "a key that the file does not have",
    { config: "upstream: {}" },
    /unknown key "upstream"\n.*\n.*\^\n.*\n {2}did you mean "upstreams"\?/,
  ],
  ["a value that cannot be", { config: "drain: { grace: soon }" }, /drain/],
  ["a label with another word", {}, /label outrigger\.dev\/inject is "yes", expected enabled or disabled/],
];
for (const [why, annotations, says] of wrong) {
  test(`${why} is refused, and what is wrong is said`, () => {
    const given = pod(annotations);
    const labels = why.startsWith("a label") ? { "outrigger.dev/inject": "yes" } : {};
    assert.match(
      problemsOf({ ...given, metadata: { ...Object(given.metadata), labels: { app: "user", ...labels } } }),
      says,
    );
  });
}

test("everything that is wrong is said at once", () => {
  assert.equal(problemsOf(pod({ protocol: "x", mode: "y", image: "" })).split("\n").length, 3);
});

test("what the injector writes of itself says which version it was", () => {
  const status = textAt(injected(pod()), "metadata", "annotations", "outrigger.dev/status");
  assert.deepEqual(JSON.parse(status ?? ""), { version: "0.1.0", mode: "native" });
});
