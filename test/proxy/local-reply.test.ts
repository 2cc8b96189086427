import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../../src/http/call.ts";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import { type Direction, type Reason, reasons } from "../../src/http/reason.ts";
import { LocalReply } from "../../src/proxy/local-reply.ts";
import { replyOf } from "./reply-of.ts";

const headers = new HeaderTable();

function pairs(head: Head | undefined): [string, string][] {
  return [...(head?.entries() ?? [])].map(([name, value]) => [name, value]);
}

function local(direction: Direction): LocalReply {
  return new LocalReply(headers, () => "orders", direction);
}

const secretive = "no connection to 10.1.2.3:50051, the limit is 17";

test("a stranger reads the reason and a fixed sentence, never the detail, whatever the reason", () => {
  for (const reason of Object.keys(reasons) as Reason[]) {
    for (const grpc of [true, false]) {
      const said = replyOf((stream) => local("inbound").send(stream, failure(reason, secretive), grpc, false));
      const text = JSON.stringify([pairs(said.head), said.body]);
      assert.ok(!text.includes("10.1.2.3") && !text.includes("17"), text);
      assert.ok(text.includes(reason) && text.includes(reasons[reason].text.replaceAll("%", "%25")), text);
    }
  }
});

test("the application beside the sidecar reads the detail, or the fixed sentence where there is none", () => {
  const detailed = replyOf((stream) => local("outbound").send(stream, failure("REFUSED", secretive), true, false));
  assert.deepEqual(pairs(detailed.head), [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "14"],
    ["grpc-message", secretive],
    ["outrigger-reason", "REFUSED"],
    ["outrigger-source", "orders/outbound"],
  ]);
  assert.ok(detailed.ended);
  const bare = replyOf((stream) => local("outbound").send(stream, failure("REFUSED", ""), true, false));
  assert.equal(bare.head?.get("grpc-message"), reasons.REFUSED.text);
});

test("that nothing was processed is said to those who come from outside, and only where it is so", () => {
  const marked = (direction: Direction, unprocessed: boolean): string | undefined =>
    replyOf((stream) => local(direction).send(stream, failure("DRAINING", "", { unprocessed }), true, false)).head?.get(
      "outrigger-unprocessed",
    );
  assert.equal(marked("inbound", true), "1");
  assert.equal(marked("inbound", false), undefined);
  assert.equal(marked("outbound", true), undefined, "the application beside it has nowhere else to go");
});

test("what else a failure says, such as when to come back, is said in fields of the answer", () => {
  const fields = [["grpc-retry-pushback-ms", "250"]] as const;
  const said = replyOf((stream) => local("inbound").send(stream, failure("LOOKUP_LIMIT", "", { fields }), true, false));
  assert.equal(said.head?.get("grpc-retry-pushback-ms"), "250");
});

test("after the head of a gRPC answer the failure is in the trailers", () => {
  const said = replyOf((stream) => local("outbound").send(stream, failure("UPSTREAM_LOST", "gone"), true, true));
  assert.equal(said.head, undefined);
  assert.deepEqual(pairs(said.trailers), [
    ["grpc-status", "14"],
    ["grpc-message", "gone"],
    ["outrigger-reason", "UPSTREAM_LOST"],
    ["outrigger-source", "orders/outbound"],
  ]);
});

test("after the head of another answer the stream is reset, so that nobody takes a part for the whole", () => {
  const said = replyOf((stream) => local("outbound").send(stream, failure("UPSTREAM_LOST", "gone"), false, true));
  assert.deepEqual([said.head, said.trailers, said.reset], [undefined, undefined, 2]);
});

test("who does not speak gRPC gets an HTTP answer whose length is right, in whatever script", () => {
  const said = replyOf((stream) => local("outbound").send(stream, failure("NO_ROUTE", "größer als 0 €"), false, false));
  assert.equal(said.head?.get(":status"), "404");
  assert.equal(said.head?.get("content-length"), String(Buffer.byteLength(said.body)));
  assert.equal(said.body, "NO_ROUTE: größer als 0 €\n");
  assert.ok(said.ended);
});

test("a caller who still sends is stopped after the answer, and one who has ended is left alone", () => {
  const failed = failure("NO_ROUTE", "x");
  const open = replyOf((stream) => local("outbound").send(stream, failed, true, false), "open");
  assert.deepEqual([open.ended, open.reset], [true, 0]);
  const ended = replyOf((stream) => local("outbound").send(stream, failed, true, false), "ended");
  assert.deepEqual([ended.ended, ended.reset], [true, undefined]);
});
