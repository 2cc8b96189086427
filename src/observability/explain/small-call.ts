import { clip, clipCopy, READABLE } from "../../core/clip.ts";
import { Call, type Outcome } from "../../http/call.ts";
import { Field, Head, HeaderList } from "../../http/headers.ts";

/** Octets of a head (RFC 9113 §6.5.2) that are remembered of a call; servers of gRPC mostly take 8 KiB. */
export const REMEMBERED = 4096;

/** Whether a caller has sent more than is remembered of a call. */
export function isLarge({ head, headBefore, outcome }: Call): boolean {
  return (
    head.size > REMEMBERED ||
    (headBefore !== undefined && headBefore.size > REMEMBERED) ||
    (outcome?.detail !== undefined && outcome.detail.length > REMEMBERED)
  );
}

/** What is remembered of a call that is over: without its token, and of its head what is small. */
export function smallCopy(call: Call): Call {
  const { head, headBefore, path, outcome } = call;
  return Object.assign(new Call(call.direction, call.peer, head, path, call.grpc, call.startedAt), call, {
    head: smallHead(head),
    headBefore: headBefore && smallHead(headBefore),
    path: clipCopy(path),
    token: undefined,
    outcome: outcome && smallOutcome(outcome),
  });
}

function smallOutcome(outcome: Outcome): Outcome {
  return outcome.detail === undefined ? outcome : { ...outcome, detail: clipCopy(outcome.detail) };
}

/** The target, clipped, and of other fields those that are short, as many as there is room for. */
function smallHead(head: Head): Head {
  let list = new HeaderList(undefined, undefined, false);
  for (const [name, value, secret] of head.entries()) {
    const isTarget = name === ":path" || name === ":authority";
    if (!isTarget && (secret || name.length > READABLE || value.length > READABLE)) continue;
    const next = new HeaderList(list, new Field(clip(name), clipCopy(value), "fixed", false), false);
    if (isTarget || next.size <= REMEMBERED) list = next;
  }
  return new Head(list, []);
}
