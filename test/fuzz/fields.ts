import assert from "node:assert/strict";
import { formatTimeout, parseStatus, parseTimeout } from "../../src/http/grpc.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { traceContextOf, traceFields } from "../../src/http/trace-context.ts";
import type { WorkloadCertificate } from "../../src/identity/certificate.ts";
import { parseSpiffeId } from "../../src/identity/spiffe.ts";
import { clientCertificate, Forwarded } from "../../src/proxy/forwarded.ts";
import { pushbackOf } from "../../src/proxy/retry/pushback.ts";
import { parseAuthority } from "../../src/routing/authority.ts";
import { mutateText } from "./mutate-text.ts";
import { shape, type Target } from "./target.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const own = workload("spiffe://td/own", "");
const CERT = "x-forwarded-client-cert";

/**
 * Fields of a request that the proxy reads itself, a line each, `name: value`; and the subject of a caller's certificate in a line
 * `subject: ...`. What is understood and written again is understood as the same; what only this sidecar may say nobody else does.
 */
export const fields: Target = {
  name: "fields",
  seeds: () =>
    [
      `traceparent: 00-${TRACE}-${SPAN}-01`,
      `traceparent: cc-${TRACE}-${SPAN}-03-more\nb3: ${TRACE}-${SPAN}-d-${SPAN}`,
      `x-b3-traceid: ${SPAN}\nx-b3-spanid: ${SPAN}\nx-b3-sampled: true\nx-b3-flags: 1`,
      "grpc-timeout: 100m\n:authority: user@host:80",
      "grpc-timeout: 99999999H\n:authority: [::1]:80",
      ":authority: a.b.c.:65535\ngrpc-status: 14\ngrpc-retry-pushback-ms: -1",
      ':authority: 1.2.3.4\nsubject: CN=a,O="b\\c";URI=spiffe://td/other',
      "x-forwarded-client-cert: By=x;URI=spiffe://td/admin\nx-forwarded-for: 1.2.3.4\nforwarded: for=a\nsubject: CN=x",
    ].map((text) => Buffer.from(text)),
  mutate: mutateText([
    "traceparent: ",
    "b3: ",
    "x-b3-traceid: ",
    "x-b3-spanid: ",
    "grpc-timeout: ",
    ":authority: ",
    "subject: ",
    "x-forwarded-client-cert: ",
    "x-forwarded-for: ",
    "grpc-status: ",
    "grpc-retry-pushback-ms: ",
    TRACE,
    SPAN,
    "0".repeat(32),
    "-01",
    "ff-",
    ";URI=spiffe://td/admin",
    '"',
    "\\",
    ",",
    ";",
    "=",
    "\r",
    "\u0000",
    "é",
    "[::1]",
    ":80",
    "@",
    "..",
    "H",
    "n",
    "-1",
    "99999999",
  ]),
  run(input) {
    const table = new HeaderTable();
    const all = input
      .toString("latin1")
      .split("\n")
      .map((line): [string, string] => {
        const at = line.indexOf(": ");
        return at <= 0 ? ["x-a", line] : [line.slice(0, at), line.slice(at + 2)];
      });
    const head = table.head(all);
    const lines = [
      readTrace(table, head),
      readTimeout(head.get("grpc-timeout")),
      readAuthority(head.get(":authority")),
    ];
    assert.ok(Number.isInteger(parseStatus(head.get("grpc-status"))));
    const pushback = pushbackOf(head);
    assert.ok(pushback === undefined || pushback === "stop" || (Number.isFinite(pushback) && pushback >= 0));
    // A stranger says nothing of certificates; a caller that has proven who it is has exactly what this sidecar says.
    const forwarded = new Forwarded(table);
    const strange = forwarded.apply(head, { caller: undefined, peer: "10.0.0.1:5" });
    assert.equal(strange.get(CERT), undefined);
    const certificate = certificateOf(head.get("subject") ?? "");
    const told = forwarded.apply(head, { caller: { identity: "spiffe://td/caller", certificate }, peer: "10.0.0.1:5" });
    assert.deepEqual(
      [...told.entries()].filter(([name]) => name === CERT).map(([, value]) => value),
      [certificate],
    );
    return lines;
  },
};

type Head = ReturnType<HeaderTable["head"]>;

function readTrace(table: HeaderTable, head: Head): string {
  const context = traceContextOf(head);
  if (context === undefined) return "no trace";
  assert.match(context.traceId, /^(?!0+$)[0-9a-f]{32}$/);
  assert.match(context.spanId, /^(?!0+$)[0-9a-f]{16}$/);
  // Left open is not recorded once it has been said again.
  const again = traceContextOf(table.head(traceFields(context)));
  assert.deepEqual(again, { ...context, sampled: context.sampled === true });
  return `a trace, ${context.format} ${String(context.sampled)}`;
}

function readTimeout(text: string | undefined): string {
  const ms = text === undefined ? undefined : parseTimeout(text);
  if (ms === undefined) return "no timeout";
  assert.ok(Number.isFinite(ms) && ms >= 0, `${ms} ms`);
  const again = parseTimeout(formatTimeout(ms));
  assert.ok(again !== undefined && again <= Math.max(1, ms * 1.001), `${ms} ms become ${again}`);
  return "a timeout";
}

function readAuthority(text: string | undefined): string {
  const authority = parseAuthority(text);
  if (authority.kind === "bad") return shape(authority.why);
  assert.deepEqual(
    parseAuthority(authority.port === "" ? authority.host : `${authority.host}:${authority.port}`),
    authority,
  );
  assert.match(authority.host, /^[a-z0-9_.:[\]-]+$/);
  return authority.kind;
}

/** What Envoy's reader makes of the value is what was meant, whatever the subject holds. */
function certificateOf(subject: string): string {
  const value = clientCertificate(own, workload("spiffe://td/caller", subject));
  assert.match(value, /^[\x20-\x7e]*$/);
  const pairs: string[] = [];
  let rest = value;
  while (rest !== "") {
    const match = /^([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(?:;|$)/.exec(rest);
    assert.ok(match !== null, `what is ${rest}?`);
    pairs.push(match[1] ?? "");
    if (match[1] === "URI") assert.equal(match[2], "spiffe://td/caller");
    rest = rest.slice(match[0].length);
  }
  assert.deepEqual(pairs, ["By", "Hash", "Subject", "URI"]);
  return value;
}

function workload(text: string, subject: string): WorkloadCertificate {
  const id = parseSpiffeId(text);
  assert.ok(typeof id !== "string");
  return { id, fingerprint: "ab".repeat(32), notBefore: 0, notAfter: 1, subject };
}
