import { clip } from "../core/clip.ts";
import type { Call } from "./call.ts";

/** Octets of a `:path` by which something is remembered or counted: callers may make up paths of 64 KiB. */
export const LONGEST_METHOD = 256;

/** A `:path` for people: without its query, which may hold what no log should, and clipped. */
export function readablePath(path: string): string {
  const query = path.indexOf("?");
  return clip(query < 0 ? path : path.slice(0, query));
}

/** The method of a `:path`, for people. */
export function methodOf(path: string): string {
  return readablePath(path.startsWith("/") ? path.slice(1) : path);
}

/** Which calls a policy is for; what is absent holds for all. */
export interface CallMatch {
  /** `*`, `package.Service/*` or `package.Service/Method`. */
  readonly method: string;
  readonly upstream: string | undefined;
  /** By name: a value, or `*` for any; all of them have to be there. */
  readonly metadata: ReadonlyMap<string, string>;
}

const HEALTH = "/grpc.health.v1.Health/";
const NAME = /^\w*$/;

/**
 * Whether a call is a health check, which is limited only by who names it: a limit must not make a healthy service look ill. A path
 * that leads out of there again by dots is none: an application of HTTP/1.1 may read it as another one.
 */
export function isHealthCheck(path: string): boolean {
  return path.startsWith(HEALTH) && NAME.test(path.slice(HEALTH.length));
}

/** The match as a function, made once a configuration. */
export function compileMatch({ method, upstream, metadata }: CallMatch): (call: Call) => boolean {
  const path = matchMethod(method);
  const fields = [...metadata];
  return (call) => {
    if (!path(call.path)) return false;
    if (upstream !== undefined && upstream !== call.upstream) return false;
    for (const [name, value] of fields) {
      const given = call.head.get(name);
      if (given === undefined || (value !== "*" && value !== given)) return false;
    }
    return true;
  };
}

/** Whether a `:path` is of a pattern of methods; its query is no part of a method. */
export function matchMethod(pattern: string): (path: string) => boolean {
  if (pattern === "*") return (path) => !isHealthCheck(path);
  const whole = `/${pattern}`;
  const asked = `${whole}?`;
  if (!pattern.endsWith("/*")) return (path) => path === whole || path.startsWith(asked);
  const service = whole.slice(0, -1);
  return (path) => path.startsWith(service);
}
