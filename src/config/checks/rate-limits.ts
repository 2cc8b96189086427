import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { FileRateLimit } from "../rate-limit-options.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { isDefault } from "./is-default.ts";

type Key = keyof FileRateLimit;
/** What could be read of one. */
type Limit = Draft<FileRateLimit>;

/** Names that stand twice, and keys that mean nothing beside the others of their limit. */
export function checkRateLimits(draft: Draft<FileConfig>, reading: Reading): void {
  const names = new Set<string>();
  const limits: readonly Limit[] = draft.rateLimits ?? [];
  for (const [index, limit] of limits.entries()) {
    const path = ["rateLimits", index];
    if (limit.name === undefined) continue;
    if (names.has(limit.name)) {
      const message = `${limit.name} is already the name of a rate limit`;
      reading.reportValue([...path, "name"], {
        code: "conflict",
        message,
        expected: "a name of its own for each limit",
      });
    }
    names.add(limit.name);
    checkDirection(limit, path, reading);
    if (limit.quotaService !== undefined || reading.has([...path, "quotaService"])) checkQuota(limit, path, reading);
    else if (limit.service === undefined && !reading.has([...path, "service"])) checkCounted(limit, path, reading);
    else checkService(limit, path, reading);
  }
}

function checkDirection(limit: Limit, path: Path, reading: Reading): void {
  if (limit.direction !== "inbound") return;
  if (!reading.has(["service"])) {
    const message = `the rate limit ${limit.name} has no effect: without a service there are no inbound calls`;
    reading.reportKey(path, { code: "no-effect", message, expected: "a service, or direction: outbound" });
  }
  if (limit.match?.upstream === undefined) return;
  reading.reportKey([...path, "match", "upstream"], {
    code: "no-effect",
    message: `match.upstream has no effect in the rate limit ${limit.name}: inbound calls are all for the service`,
    expected: "direction: outbound, or no such key",
  });
}

/** Of a limit that is counted here or in Redis. */
function checkCounted(limit: Limit, path: Path, reading: Reading): void {
  const inert = (keys: readonly Key[], why: string, expected: string): void =>
    reportInert(limit, keys, path, reading, { why, expected });
  if (limit.limit === undefined && !reading.has([...path, "limit"]))
    reading.reportKey(path, {
      code: "missing-key",
      message: `missing key "limit" in the rate limit ${limit.name}`,
      expected: "limit: a rate such as 100/s, or a service that says it",
    });
  if (limit.algorithm !== "tokenBucket") inert(["burst"], `${limit.algorithm} has none`, "algorithm: tokenBucket");
  if (limit.store === "memory")
    inert(
      ["scope", "lease", "timeout", "onStoreFailure", "localShare"],
      "the store is memory",
      "store: redis://HOST:PORT",
    );
  else if (limit.onStoreFailure === "allow" || limit.onStoreFailure === "deny")
    inert(["localShare"], `onStoreFailure is ${limit.onStoreFailure}`, "onStoreFailure: local");
}

/** Of a limit that a service decides. */
function checkService(limit: Limit, path: Path, reading: Reading): void {
  const keys: readonly Key[] = ["limit", "burst", "algorithm", "store", "scope", "lease", "localShare", "maxKeys"];
  reportInert(limit, keys, path, reading, { why: "its service decides", expected: "no service" });
  if (limit.onStoreFailure !== "local") return;
  reading.reportValue([...path, "onStoreFailure"], {
    code: "conflict",
    message: `the rate limit ${limit.name} has no local share: its service decides`,
    expected: "allow or deny",
  });
}

/** Of a limit whose quotas a service assigns. */
function checkQuota(limit: Limit, path: Path, reading: Reading): void {
  if (reading.has([...path, "service"]))
    reading.reportKey([...path, "service"], {
      code: "conflict",
      message: `the rate limit ${limit.name} has a quotaService, which says how many calls pass`,
      expected: "service or quotaService",
    });
  const keys: readonly Key[] = ["algorithm", "store", "scope", "lease", "timeout", "onStoreFailure", "localShare"];
  reportInert(limit, keys, path, reading, { why: "its quotaService decides", expected: "no quotaService" });
  const { unassigned, expired } = limit.quotaService ?? {};
  if (unassigned === undefined || expired === undefined) return;
  const says = unassigned === "limit" || expired === "limit";
  if (says && limit.limit === undefined && !reading.has([...path, "limit"]))
    reading.reportKey(path, {
      code: "missing-key",
      message: `missing key "limit" in the rate limit ${limit.name}`,
      expected: "limit: a rate such as 100/s, which quotaService falls back to",
    });
  if (!says)
    reportInert(limit, ["limit", "burst"], path, reading, {
      why: "its quotaService never falls back to it",
      expected: "unassigned or expired: limit",
    });
}

function reportInert(
  limit: Limit,
  keys: readonly Key[],
  path: Path,
  reading: Reading,
  { why, expected }: { readonly why: string; readonly expected: string },
): void {
  for (const key of keys) {
    const value = limit[key];
    if (value === undefined || !reading.has([...path, key]) || isDefault(`rateLimits.${key}`, value)) continue;
    reading.reportKey([...path, key], {
      code: "no-effect",
      message: `${key} has no effect in the rate limit ${limit.name}: ${why}`,
      expected: `${expected}, or no such key`,
    });
  }
}
