import { type Address, formatAddress, parseAddress } from "../core/address.ts";
import type { Counted, RateLimitOptions } from "../limits/rate-limit.ts";
import type { Type } from "./schema/type.ts";
import type { rateLimits } from "./sections/rate-limits.ts";

/** An item of `rateLimits` as the file has it. */
export type FileRateLimit = typeof rateLimits extends Type<infer T> ? T : never;

/** The limit that an item stands for. `identity`: who shares it in a store unless it says so. Expects what was checked. */
export function rateLimitOf(file: FileRateLimit, identity: string): RateLimitOptions {
  const { name, direction, match, key, mode, headers } = file;
  return { name, direction, match, key, mode, headers, counted: countedOf(file, identity) };
}

function countedOf(file: FileRateLimit, identity: string): Counted {
  const { limit, algorithm, maxKeys, timeout, service, onStoreFailure, store, quotaService } = file;
  if (quotaService !== undefined) {
    const pace = limit && { ...limit, burst: file.burst ?? limit.amount };
    return { by: "quota", quota: { ...quotaService, address: formatAddress(quotaService.address), pace }, maxKeys };
  }
  if (service !== undefined || limit === undefined) {
    const address = service === undefined ? "" : formatAddress(service.address);
    const onFailure = onStoreFailure === "deny" ? "deny" : "allow";
    return { by: "service", service: { address, domain: service?.domain ?? "", timeout, onFailure } };
  }
  const pace = { ...limit, burst: file.burst ?? limit.amount };
  if (store === "memory") return { by: "memory", pace, algorithm, maxKeys, shared: undefined };
  const { scope = identity, lease, localShare } = file;
  const shared = { url: store, timeout, scope, lease, localShare, onFailure: onStoreFailure ?? "local" };
  return { by: "redis", pace, algorithm, maxKeys, shared };
}

/** The way back, for writing. */
export function rateLimitBack({ counted, ...options }: RateLimitOptions): FileRateLimit {
  const absent = {
    limit: undefined,
    burst: undefined,
    algorithm: "tokenBucket",
    store: "memory",
    scope: undefined,
    lease: undefined,
    timeout: 100,
    onStoreFailure: undefined,
    localShare: 1,
    service: undefined,
    quotaService: undefined,
    maxKeys: 10_000,
  } as const;
  if (counted.by === "service") {
    const { address, domain, timeout, onFailure } = counted.service;
    return {
      ...options,
      ...absent,
      service: { address: addressOf(address), domain },
      timeout,
      onStoreFailure: onFailure,
    };
  }
  if (counted.by === "quota") {
    const { pace, address, ...quota } = counted.quota;
    const quotaService = { ...quota, address: addressOf(address) };
    const given = pace && { limit: { amount: pace.amount, per: pace.per }, burst: pace.burst };
    return { ...options, ...absent, ...given, quotaService, maxKeys: counted.maxKeys };
  }
  const { pace, algorithm, maxKeys, shared } = counted;
  const { amount, per, burst } = pace;
  return {
    ...options,
    ...absent,
    limit: { amount, per },
    burst: algorithm === "tokenBucket" ? burst : undefined,
    algorithm,
    maxKeys,
    ...(shared === undefined
      ? {}
      : {
          store: shared.url,
          scope: shared.scope,
          lease: shared.lease,
          timeout: shared.timeout,
          onStoreFailure: shared.onFailure,
          localShare: shared.localShare,
        }),
  };
}

function addressOf(text: string): Address {
  const parsed = parseAddress(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}
