import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { version } from "../../src/core/version.ts";
import { injectManifest } from "../../src/kubernetes/manifest.ts";
import { runProcess } from "../support/process.ts";
import { defaults } from "./pods.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, "test", "fixtures", "kubernetes");
const examples = join(root, "deploy", "kubernetes", "examples");

function inject(text: string): { text: string; notes: readonly string[] } {
  const result = injectManifest(text, "manifest.yaml", defaults);
  assert.ok("text" in result, JSON.stringify(result));
  return result;
}

// The expected files were read through by a person: NAME.yaml is what goes in, NAME.injected.yaml what comes out.
for (const path of [folder, examples].flatMap((place) => readdirSync(place).map((file) => join(place, file)))) {
  const name = basename(path, ".yaml");
  if (name.endsWith(".injected")) continue;
  test(`${name}.yaml comes out as written down, and once more the same`, () => {
    const expected = readFileSync(join(folder, `${name}.injected.yaml`), "utf8").replaceAll("VERSION", version);
    const { text } = inject(readFileSync(path, "utf8"));
    assert.equal(text, expected);
    assert.equal(inject(text).text, expected);
  });
}

const template = "spec: { template: { spec: { containers: [{ name: a, image: b }] } } }";

test("every kind that makes pods gets the sidecar, in lists too; others stay as they are", () => {
  for (const kind of ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"])
    assert.match(inject(`kind: ${kind}\nmetadata: { name: x }\n${template}\n`).text, /name: outrigger\n/, kind);
  assert.match(
    inject("kind: PodTemplate\ntemplate: { spec: { containers: [{ name: a }] } }\n").text,
    /name: outrigger\n/,
  );
  assert.match(inject("kind: Pod\nspec: { containers: [{ name: a }] }\n").text, /name: outrigger\n/);
  assert.match(inject(`kind: CronJob\nspec: { jobTemplate: { ${template} } }\n`).text, /name: outrigger\n/);
  const list = inject(`kind: List\nitems:\n  - kind: Job\n    ${template}\n  - kind: Service\n`);
  assert.match(list.text, /name: outrigger\n/);
  assert.deepEqual(list.notes, ["Job/?: has the sidecar"]);
  const service = "# kept\nkind: Service\nmetadata:\n  name: x # as it is\n";
  assert.equal(inject(service).text, service);
});

test("comments and the order of what was there stay", () => {
  const { text } = inject(`# first\nkind: Job\nmetadata:\n  name: x # name\n${template} # here\n`);
  assert.match(text, /^# first\nkind: Job\nmetadata:\n {2}name: x # name\n/);
});

const COMMENTED = `# before
kind: Deployment
metadata:
  name: x
spec:
  template:
    spec:
      # the volumes
      volumes:
        # the first of them
        - name: cache # in memory
          emptyDir: {}
      initContainers:
        # makes the tables
        - name: migrate # once
          image: app:1
        # and fills them
        - name: fill
          image: app:1
      containers:
        # the application
        - name: app # itself
          image: app:1
# between
---
# a service, written as its author likes
kind:   Service
metadata: {name: x,   labels: {a: "b"}} # by hand
---
# nothing
---
kind: ConfigMap
data:
  folded: >
    some words
    and more
`;

test("comments stay in lists that get more entries, and documents that get nothing stay to the letter", () => {
  const { text } = inject(COMMENTED);
  const comments = (of: string): string[] => of.match(/#.*/g) ?? [];
  assert.deepEqual(comments(text).sort(), comments(COMMENTED).sort());
  for (const part of [
    "      # the volumes\n      volumes:\n        # the first of them\n        - name: cache # in memory\n",
    "        # makes the tables\n        - name: migrate # once\n          image: app:1\n        # and fills them\n        - name: fill\n",
    COMMENTED.slice(COMMENTED.indexOf("---\n# a service")),
  ])
    assert.ok(text.includes(part), text);
  assert.equal(inject(text).text, text);
});

test("nothing to be injected: nothing changes, whatever it is", () => {
  for (const text of [
    "",
    "\n",
    "# words\n",
    "---\n---\n",
    "a plain text\n",
    "kind: List\nitems:\n",
    "[1, 2]\n",
    "\ufeffa: {b}\r\n",
  ])
    assert.equal(inject(text).text, text, JSON.stringify(text));
});

test("JSON comes back as JSON, indented as it was", () => {
  const pod = { kind: "Pod", metadata: { name: "x" }, spec: { containers: [{ name: "a", image: "b" }] } };
  const list = { kind: "List", items: [{ kind: "Service" }, pod, pod] };
  for (const indentation of ["", "  ", "    ", "\t"]) {
    const before = `${JSON.stringify(list, null, indentation)}\n`;
    const { text, notes } = inject(before);
    const made = JSON.parse(text);
    assert.equal(text, `${JSON.stringify(made, null, indentation)}\n`);
    assert.deepEqual(made.items[0], { kind: "Service" });
    assert.equal(made.items[1].spec.initContainers[0].name, "outrigger");
    assert.deepEqual(made.items[1], made.items[2]);
    assert.deepEqual(notes, ["Pod/x: has the sidecar", "Pod/x: has the sidecar"]);
    assert.equal(inject(text).text, text);
  }
  // Objects one after another are what kubectl and jq write as well; they are read as YAML.
  assert.equal(inject('{ "kind": "Service" }\n---\n{ "kind": "Service" }\n').notes.length, 0);
  const wrong = injectManifest(JSON.stringify({ ...pod, spec: { containers: [] } }), "pod.json", defaults);
  assert.deepEqual(wrong, { problems: ["pod.json: Pod/x: it has no container"] });
});

test("annotations that are no text, which YAML makes of numbers and words without quotes, are a mistake", () => {
  const made = (annotations: string, labels = "") =>
    injectManifest(
      `kind: Pod\nmetadata: { name: x, annotations: { ${annotations} }, labels: { ${labels} } }\nspec: { containers: [{ name: a }] }\n`,
      "pod.yaml",
      defaults,
    );
  assert.deepEqual(made("outrigger.dev/port: 50051"), {
    problems: [
      "pod.yaml: Pod/x: annotation outrigger.dev/port is 50051, which Kubernetes takes only as text, in quotes",
    ],
  });
  for (const value of ["", "on", "{ log: { level: debug } }", "[a]"])
    assert.ok("problems" in made(`outrigger.dev/config: ${value}`), value);
  assert.deepEqual(made("", "outrigger.dev/inject: yes"), {
    problems: ["pod.yaml: Pod/x: label outrigger.dev/inject is true, expected enabled or disabled"],
  });
});

test("a list of very many objects is done, each by itself", () => {
  const pods = Array.from(
    { length: 500 },
    (_, n) => `- kind: Pod\n  metadata: { name: p${n} }\n  spec: { containers: [{ name: a }] }\n`,
  );
  const { text, notes } = inject(`kind: List\nitems:\n${pods.join("")}`);
  assert.equal(notes.length, 500);
  assert.equal(text.match(/name: outrigger\n/g)?.length, 500);
});

test("words that Kubernetes reads as booleans stay what they are", () => {
  const { text } = inject(`kind: Job\nmetadata: { annotations: { a: "yes", b: "on" } }\n${template}\n`);
  assert.deepEqual(parseAllDocuments(text, { version: "1.1" })[0]?.toJS().metadata.annotations, { a: "yes", b: "on" });
});

test("a manifest that is no YAML, or whose annotations make no sense, says where and why", () => {
  const broken = injectManifest("kind: Job\n  a: [", "manifest.yaml", defaults);
  assert.ok("problems" in broken);
  assert.match(broken.problems[0] ?? "", /^manifest\.yaml:1:7: Nested mappings are not allowed in compact mappings$/);
  const wrong = injectManifest(
    `kind: Job\nmetadata: { name: x }\nspec: { template: { metadata: { annotations: { outrigger.dev/mode: sidecar } }, spec: { containers: [{ name: a }] } } }`,
    "manifest.yaml",
    defaults,
  );
  assert.deepEqual(wrong, {
    problems: ['manifest.yaml: Job/x: annotation outrigger.dev/mode is "sidecar", expected native, container'],
  });
});

test("an alias of nothing is a problem of its manifest", () => {
  assert.deepEqual(injectManifest("kind: Job\nspec: *x\n", "manifest.yaml", defaults), {
    problems: ["manifest.yaml: Unresolved alias (the anchor must be set before the alias): x"],
  });
});

test("what is shared by aliases and merges is written out where the sidecar comes in, and stays as it is elsewhere", () => {
  const containers = "containers: [{ name: app, image: app:1 }]";
  const annotations = 'metadata: { annotations: { outrigger.dev/service: "app", outrigger.dev/port: "50051" } }';
  const manifests = [
    `shared: &pod { ${annotations}, spec: { ${containers} } }\nkind: Deployment\nmetadata: { name: x }\nspec: { template: *pod }\n`,
    `shared: &pod { ${annotations}, spec: { ${containers} } }\nkind: Deployment\nmetadata: { name: x }\nspec: { template: { <<: *pod } }\n`,
    `shared: &spec { ${containers} }\nkind: Deployment\nmetadata: { name: x }\nspec: { template: { ${annotations}, spec: *spec } }\n`,
    `shared: &spec { ${containers} }\nkind: Deployment\nmetadata: { name: x }\nspec: { template: { ${annotations}, spec: { <<: *spec } } }\n`,
    `shared: &app { name: app, image: app:1 }\nkind: Deployment\nmetadata: { name: x }\nspec: { template: { ${annotations}, spec: { containers: [{ <<: *app }] } } }\n`,
  ];
  const read = (text: string) => parseAllDocuments(text, { version: "1.1" })[0]?.toJS();
  const plain = `kind: Deployment\nmetadata: { name: x }\nspec: { template: { ${annotations}, spec: { ${containers} } } }\n`;
  const expected = read(inject(plain).text).spec;
  assert.equal(expected.template.spec.initContainers.length, 1);
  for (const manifest of manifests) {
    const written = read(inject(manifest).text);
    assert.deepEqual(written.spec, expected, manifest);
    assert.deepEqual(written.shared, read(manifest).shared, manifest);
  }
});

test("the command reads standard input, writes the manifest on standard output and its notes beside it", async () => {
  const main = join(root, "src", "main.ts");
  const outrigger = (args: string[], input: string) =>
    runProcess(process.execPath, [main, "inject", ...args], { input, timeout: 60_000 });
  const done = await outrigger(["-f", "-", "--image", "x:1"], `kind: Job\nmetadata: { name: x }\n${template}\n`);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /image: x:1/);
  assert.equal(done.stderr, "Job/x: has the sidecar\n");
  for (const [args, says] of [
    [[], /needs -f FILE/],
    [["-f", "-", "-c", "-"], /only one of -f and -c/],
    [["-f", "/nowhere"], /cannot read \/nowhere/],
    [["-f", "-", "--mode", "sidecar"], /--mode is "sidecar", expected native or container/],
  ] as const) {
    const failed = await outrigger([...args], "");
    assert.equal(failed.code, 2);
    assert.match(failed.stderr, says);
    assert.equal(failed.stdout, "");
  }
});
