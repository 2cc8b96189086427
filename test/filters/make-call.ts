import { Call } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import type { PlainField } from "../support/hpack-peer.ts";

/** What the heads of calls are made with. */
export const table = new HeaderTable();

/** A call as filters see it, that began at 1,000 ms. */
export function makeCall(metadata: readonly PlainField[] = [], grpc = true, path = "/test.v1.Test/Call"): Call {
  const head = table.head([[":method", "POST"], [":path", path], ...metadata]);
  return new Call("outbound", "127.0.0.1:4711", head, path, grpc, 1000);
}
