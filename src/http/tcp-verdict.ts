import { type Reason, reasons } from "./reason.ts";

/**
 * What a sidecar says first on a connection that another one has made for TCP (ALPN `outrigger-tcp`), in one line: `+` once its
 * application has the connection, or `-` and the reason why not. So the caller knows what it knows of a call of HTTP/2: whether
 * the application has seen anything of it.
 */
export type TcpVerdict =
  | { readonly kind: "accepted"; readonly rest: Buffer }
  | { readonly kind: "refused"; readonly reason: Reason }
  /** More octets decide. */
  | { readonly kind: "open" }
  | { readonly kind: "nonsense" };

/** What a sidecar says first on a connection of TCP that it has let in. */
export const ACCEPTED = Buffer.from("+\n");

const LF = 0x0a;
/** No reason is longer. */
const LONGEST = 64;

/** What it says, and all that it says, on one that it has not. */
export function refused(reason: Reason): Buffer {
  return Buffer.from(`-${reason}\n`);
}

/** Reads the first octets; those after the line are the application's. */
export function readVerdict(octets: Buffer): TcpVerdict {
  const end = octets.subarray(0, LONGEST).indexOf(LF);
  if (end < 0) return octets.length < LONGEST ? { kind: "open" } : { kind: "nonsense" };
  const line = octets.toString("latin1", 0, end);
  if (line === "+") return { kind: "accepted", rest: octets.subarray(end + 1) };
  const name = line.slice(1);
  if (line.startsWith("-") && Object.hasOwn(reasons, name)) return { kind: "refused", reason: name as Reason };
  return { kind: "nonsense" };
}
