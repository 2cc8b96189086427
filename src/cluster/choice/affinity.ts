import { createHash } from "node:crypto";
import { cookie } from "../../http/cookie.ts";
import type { Head } from "../../http/headers.ts";

/** Session affinity: a field that the sidecar adds to answers and reads on requests. */
export type AffinitySettings =
  /** `name`: of metadata, lower case. */
  | { readonly by: "metadata"; readonly name: string }
  /** `maxAge`: milliseconds that the caller is to keep it; undefined: for as long as it runs. */
  | { readonly by: "cookie"; readonly name: string; readonly maxAge: number | undefined };

/** The response field that ties a caller to its endpoint. */
export type SessionField = readonly [name: string, value: string];

/** What stands for an endpoint in the field: the same in every sidecar, and no address. */
export function tokenOf(endpointId: string): string {
  return createHash("sha256").update(endpointId).digest("base64url").slice(0, 16);
}

/** What a request says of the endpoint that its caller was at. */
export function tokenIn(head: Head, { by, name }: AffinitySettings): string | undefined {
  return by === "metadata" ? head.get(name) : cookie(head, name);
}

/** The field of an answer that brings its caller back. */
export function sessionField(settings: AffinitySettings, token: string): SessionField {
  const { by, name } = settings;
  if (by === "metadata") return [name, token];
  const age = settings.maxAge === undefined ? "" : `; Max-Age=${Math.ceil(settings.maxAge / 1000)}`;
  return ["set-cookie", `${name}=${token}; Path=/${age}; HttpOnly; SameSite=Lax`];
}
