import { seededInteger } from "../../support/random-integer.ts";
import type { Metadata } from "./world.ts";

const FIXED: Metadata = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/users.v1.UserService/GetUser"],
  [":authority", "echo"],
  ["content-type", "application/grpc"],
  ["user-agent", "grpc-go/1.85.0"],
  ["te", "trailers"],
];

/** The same metadata for each call. */
export function repeated(count: number): Metadata[] {
  return Array.from({ length: count }, () => FIXED);
}

/** A timeout, a traceparent and a request id of its own for each call. */
export function varying(count: number, seed: number): Metadata[] {
  const random = seededInteger(seed);
  const hex = (length: number): string => Array.from({ length }, () => random(16).toString(16)).join("");
  return Array.from({ length: count }, () => [
    ...FIXED,
    ["grpc-timeout", `${100 + random(900)}S`],
    ["traceparent", `00-${hex(32)}-${hex(16)}-01`],
    ["x-request-id", `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`],
  ]);
}
