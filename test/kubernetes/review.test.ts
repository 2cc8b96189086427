import assert from "node:assert/strict";
import { test } from "node:test";
import { at, type Json, type JsonObject, textAt } from "../../src/kubernetes/json-patch.ts";
import { review } from "../../src/kubernetes/review.ts";
import { defaults, pod } from "./pods.ts";

function ask(object: Json, more: JsonObject = {}): string {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: { uid: "u-1", namespace: "shop", operation: "CREATE", kind: { kind: "Pod" }, object, ...more },
  });
}

function answer(body: string): { response: Json | undefined; pod: string } {
  const reviewed = review(body, defaults);
  assert.ok("answer" in reviewed, JSON.stringify(reviewed));
  assert.equal(textAt(reviewed.answer, "response", "uid"), "u-1");
  return { response: at(reviewed.answer, "response"), pod: reviewed.pod };
}

test("a pod is allowed, with the patch that gives it the sidecar", () => {
  const { response, pod: name } = answer(ask(pod()));
  assert.equal(name, "pod shop/user-1");
  assert.equal(at(response, "allowed"), true);
  assert.equal(at(response, "patchType"), "JSONPatch");
  const patch: Json = JSON.parse(Buffer.from(textAt(response, "patch") ?? "", "base64").toString());
  assert.ok(Array.isArray(patch));
  const paths = patch.map((operation) => textAt(operation, "path"));
  assert.ok(paths.includes("/spec/initContainers"));
  assert.ok(paths.includes("/metadata/annotations/outrigger.dev~1rendered-config"));
});

test("a dry run is answered as any other review", () => {
  assert.deepEqual(answer(ask(pod(), { dryRun: true })), answer(ask(pod())));
});

test("a pod whose annotations make no sense is not allowed, and kubectl shows why", () => {
  const { response } = answer(ask(pod({ protocol: "grcp" })));
  assert.equal(at(response, "allowed"), false);
  assert.match(
    textAt(response, "status", "message") ?? "",
    /pod shop\/user-1 cannot get its sidecar: .*did you mean "grpc"/,
  );
});

test("a pod that gets none although it asked for one is allowed with a warning", () => {
  const given = pod({}, { hostNetwork: true });
  const asking = { ...given, metadata: { labels: { "outrigger.dev/inject": "enabled" }, generateName: "user-" } };
  const { response } = answer(ask(asking));
  assert.equal(at(response, "allowed"), true);
  assert.match(JSON.stringify(at(response, "warnings")), /pod shop\/user-\* gets no sidecar/);
  assert.equal(at(answer(ask(given)).response, "warnings"), undefined);
});

test("whose pod is to end, beside a sidecar that does not by itself, is told so", () => {
  const job = (mode: string) => answer(ask(pod({ mode }, { restartPolicy: "Never" }))).response;
  assert.match(JSON.stringify(at(job("container"), "warnings")), /pod shop\/user-1: its restartPolicy is Never/);
  assert.equal(at(job("native"), "warnings"), undefined);
});

test("what is no review is not answered as one, and says what it lacks", () => {
  const problem = (body: string): string => {
    const reviewed = review(body, defaults);
    assert.ok("problem" in reviewed, body);
    return reviewed.problem;
  };
  for (const body of ["", "{", "uid: u-1"]) assert.equal(problem(body), "this is no JSON");
  for (const body of ["[]", "{}", "null", "1", JSON.stringify({ kind: "AdmissionReview" })])
    assert.equal(problem(body), "this is no AdmissionReview of admission.k8s.io/v1");
  const older = { ...JSON.parse(ask(pod())), apiVersion: "admission.k8s.io/v1beta1" };
  assert.equal(
    problem(JSON.stringify(older)),
    "this is no AdmissionReview of admission.k8s.io/v1 but of admission.k8s.io/v1beta1",
  );
  const envelope = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" };
  assert.equal(problem(JSON.stringify(envelope)), "this AdmissionReview has no request");
  assert.equal(problem(JSON.stringify({ ...envelope, request: [] })), "this AdmissionReview has no request");
  assert.equal(problem(ask(pod(), { uid: 1 })), "the request of this AdmissionReview has no uid");
  for (const object of [null, "a pod", [pod()]])
    assert.equal(problem(ask(object)), "the request of this AdmissionReview has no object");
});

test("what is no pod that is being made is let through as it is", () => {
  for (const [object, more, why] of [
    [pod(), { kind: { group: "", kind: "Service" } }, "it is no pod"],
    [pod(), { kind: { group: "example.org", kind: "Pod" } }, "it is no pod"],
    [pod(), { operation: "UPDATE" }, "it is not being made: UPDATE"],
    [null, { operation: "DELETE", name: "user-1", oldObject: pod() }, "it is not being made: DELETE"],
    [null, { operation: "CONNECT", kind: { kind: "PodExecOptions" } }, "it is no pod"],
  ] as const) {
    const reviewed = review(ask(object, more), defaults);
    assert.ok("answer" in reviewed);
    assert.deepEqual([reviewed.what, reviewed.detail], ["skipped", why]);
    assert.deepEqual(at(reviewed.answer, "response"), { uid: "u-1", allowed: true });
  }
});
