import { type Call, type Failure, failure } from "../../http/call.ts";
import { parseStatus, statusOfHttp } from "../../http/grpc.ts";
import { statusName } from "../../http/reason.ts";
import type { CheckAnswer } from "./check.ts";
import { denialFields, type LeftOut } from "./service-fields.ts";

/** What a service that says no without saying how means: HTTP 403. */
const FORBIDDEN = 403;

/** Which words of gRPC a service may choose by itself, and what only the sidecar says of an answer. */
const OF_GRPC = new Set(["grpc-status", "grpc-message", "content-type"]);

/**
 * What the caller gets of a denial. Its HTTP status becomes the gRPC status that gRPC has for it, its body the message; a
 * `grpc-status` among its fields goes before, and a `grpc-message` where there is no body. That is what Envoy makes of it.
 */
export function denial(
  { code, why, denied }: CheckAnswer,
  service: string,
  { identity, protocol }: Call,
  leftOut: LeftOut,
): Failure {
  const who = identity ?? "a caller without an identity";
  const said = `${who}: the authorization service ${service} says ${statusName(code)}`;
  const because = why === "" ? "" : `: ${why}`;
  // The end of a connection of TCP has no words.
  if (protocol === "tcp") return failure("AUTHZ_REFUSED", "", { log: `${said}${because}` });
  const { status = 0, body = "", fields = [] } = denied ?? {};
  const http = status >= 200 && status <= 599 ? status : FORBIDDEN;
  const all = denialFields(fields, leftOut);
  const [, chosen] = all.find(([name]) => name === "grpc-status") ?? [];
  const message = body === "" ? decoded(all.find(([name]) => name === "grpc-message")?.[1]) : body;
  return failure("AUTHZ_REFUSED", "", {
    status: chosen === undefined ? statusOfHttp(http) : parseStatus(chosen),
    said: { http, text: message, type: all.find(([name]) => name === "content-type")?.[1] },
    fields: all.filter(([name]) => !OF_GRPC.has(name)),
    log: `${said}, HTTP ${http}${because}`,
  });
}

/** The text of a `grpc-message`. */
function decoded(message = ""): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
