import assert from "node:assert/strict";
import { type Direction, type Origin, type Reason, statusName } from "../../src/http/reason.ts";
import { fieldOf, pairsOf, type RawAnswer } from "./raw-peer.ts";
import { eventually, type Sidecar } from "./with-proxy.ts";

/** What a caller, the access log and the metrics have to say of a call that ended for a reason. */
export interface Refusal {
  readonly reason: Reason;
  readonly status: number;
  readonly direction: Direction;
  /** What the caller reads as grpc-message. */
  readonly message: RegExp | string;
  /** The name of the upstream in log and metric; "" where the call reached none. */
  readonly upstream: string;
  /** What the log's detail says; default: anything. */
  readonly detail?: RegExp;
  /** The label, where the application has answered calls of the method before. */
  readonly method?: string;
  readonly origin?: Origin;
  /** The refusal says that the application has not seen the call. */
  readonly unprocessed?: boolean;
  /** The identity of the sidecar; default "caller" outbound and "up" inbound. */
  readonly identity?: string;
  /** Further fields of the answer, in their order. */
  readonly fields?: readonly string[];
}

/** A refusal is Trailers-Only: one head of these fields in this order, and nothing more. */
export function checkAnswer(answer: RawAnswer, expected: Refusal): void {
  assert.equal(answer.trailers, undefined, "Trailers-Only");
  assert.equal(answer.data.length, 0);
  const message = fieldOf(answer.head, "grpc-message") ?? "";
  assert.deepEqual(pairsOf(answer.head), [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", String(expected.status)],
    ["grpc-message", message],
    ["outrigger-reason", expected.reason],
    ["outrigger-source", sourceOf(expected)],
    ...(expected.unprocessed === true ? [["outrigger-unprocessed", "1"]] : []),
    ...(expected.fields ?? []).map((name) => [name, fieldOf(answer.head, name)]),
  ]);
  if (typeof expected.message === "string") assert.equal(message, expected.message);
  else assert.match(message, expected.message);
}

/** The same reason stands in the trailers of an answer that had begun. */
export function checkTrailers(answer: RawAnswer, expected: Refusal): void {
  assert.ok(answer.trailers !== undefined, "trailers");
  const message = fieldOf(answer.trailers, "grpc-message") ?? "";
  assert.deepEqual(pairsOf(answer.trailers), [
    ["grpc-status", String(expected.status)],
    ["grpc-message", message],
    ["outrigger-reason", expected.reason],
    ["outrigger-source", sourceOf(expected)],
  ]);
  if (typeof expected.message === "string") assert.equal(message, expected.message);
  else assert.match(message, expected.message);
}

/** The same reason stands in the access log, in one line, and is counted once. */
export async function checkRecord(sidecar: Sidecar, expected: Refusal): Promise<void> {
  const { direction, upstream, reason, status } = expected;
  const grpc_status = statusName(status);
  const origin = expected.origin ?? "proxy";
  const lines = () => sidecar.calls.filter((line) => line.reason === reason);
  await eventually(
    () => lines().length > 0,
    () => `a line for ${reason}: ${JSON.stringify(sidecar.calls)}`,
  );
  assert.equal(lines().length, 1, "one line");
  const line = lines()[0] ?? {};
  assert.deepEqual(
    [line.direction, line.upstream, line.grpc_status, line.origin],
    [direction, upstream, grpc_status, origin],
  );
  if (expected.detail !== undefined) assert.match(String(line.detail), expected.detail);
  assert.equal(
    await sidecar.handled({ direction, upstream, reason, grpc_status, origin, method: expected.method ?? "other" }),
    1,
  );
}

function sourceOf({ identity, direction }: Refusal): string {
  return `${identity ?? (direction === "outbound" ? "caller" : "up")}/${direction}`;
}
