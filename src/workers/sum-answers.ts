/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Numbers, some by what they stand in, of which there are as many as in all threads together. Of others the largest counts. */
const SUMMED = new Set([
  "inFlight",
  "connections",
  "max",
  "maxPerSource",
  "refused",
  "requests",
  "accepted",
  "leased",
  "limit",
  "allowed",
  "denied",
  "failedAllowed",
  "failedDenied",
  "abandoned",
  "shadowAllowed",
  "shadowDenied",
  "shadowFailed",
  "verified",
  "known",
  "missing",
  "invalid",
  "expired",
  "unknown",
  "busy",
  "mirrored",
  "dropped",
  "failed",
  "skipped",
  "same",
  "status",
  "length",
  "messages",
  "metadata",
  "incomplete",
  "effects",
  "retries",
  "hedges",
  "budget.used",
  "attempts",
  "budget",
  "pushback",
  "buffer",
  "deadline",
  "current",
  "opened",
  "calls",
  "failures",
  "slow",
  "bytesPerSecond",
  "burst",
  "waiting",
  "passed",
  "delayed",
]);
/** What tells the items of a list apart, whichever of it they have. */
const IDENTIFIERS = ["name", "id", "address", "direction", "upstream", "method", "way"];

/**
 * Answers of several threads as the one of the process. Objects are merged key by key; items of lists by what they are called;
 * of words the first that is not the usual one is said, since it is the one that somebody looks for.
 */
export function sumAnswers(answers: readonly Json[]): Json {
  return answers.slice(1).reduce<Json>((sum, answer) => merge(sum, answer, ""), answers[0] ?? null);
}

function merge(one: Json, other: Json, key: string, parent = ""): Json {
  if (one === null || other === null) return one ?? other;
  if (typeof one === "number" && typeof other === "number")
    return SUMMED.has(key) || SUMMED.has(`${parent}.${key}`) ? one + other : Math.max(one, other);
  if (typeof one === "boolean" && typeof other === "boolean") return one && other;
  if (isList(one) && isList(other)) return mergeLists(one, other, key);
  if (typeof one === "object" && typeof other === "object" && !isList(one) && !isList(other)) {
    const merged: Record<string, Json> = { ...one };
    for (const [name, value] of Object.entries(other))
      merged[name] = Object.hasOwn(one, name) ? merge(one[name] ?? null, value, name, key) : value;
    return merged;
  }
  return one === "up" || one === "closed" ? other : one;
}

function mergeLists(one: readonly Json[], other: readonly Json[], key: string): Json {
  const merged = [...one];
  for (const item of other) {
    const name = identify(item);
    const at = name === undefined ? -1 : merged.findIndex((known) => identify(known) === name);
    const known = merged[at];
    if (known !== undefined) merged[at] = merge(known, item, key);
    else if (name !== undefined || !merged.includes(item)) merged.push(item);
  }
  return merged;
}

function identify(item: Json): string | undefined {
  if (typeof item !== "object" || item === null || isList(item)) return undefined;
  return IDENTIFIERS.map((key) => JSON.stringify(item[key] ?? null)).join(" ");
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
