import { defaultLimits, defaultSharedLimits } from "../../src/http2/limits.ts";
import { defaultConnectionBudget } from "../../src/net/connection-budget.ts";
import { defaultListenerLimits } from "../../src/net/listener.ts";

/** What a limit is to be instead: a number, or none at all. */
export type Lifted = Readonly<Record<string, number | "none">>;

/**
 * Has a sidecar in another process begin with other limits: `node --import liftedLimits({ "budgets.pings": "none" }) src/main.ts`.
 * The sidecar itself has no such option, and is not to have one.
 */
export function liftedLimits(limits: Lifted): string {
  const url = new URL(import.meta.url);
  for (const [name, value] of Object.entries(limits)) url.searchParams.append("lift", `${name}=${value}`);
  return url.href;
}

/** What a timer and a setting can still hold. */
const NO_LIMIT = 2 ** 31 - 1;

const objects = [defaultLimits, defaultSharedLimits, defaultListenerLimits, defaultConnectionBudget];
const all: Record<string, unknown> = Object.assign({}, ...objects);

/** The object that has a limit, and its key there. */
function placeOf(name: string): [of: object, key: string] {
  const [first = "", second] = name.split(".");
  if (second !== undefined) return [Object(all[first]), second];
  const of = objects.find((one) => first in one);
  if (of === undefined) throw new Error(`there is no limit ${name}`);
  return [of, first];
}

for (const lift of new URL(import.meta.url).searchParams.getAll("lift")) {
  const [name = "", value] = lift.split("=");
  const [of, key] = placeOf(name);
  const before: unknown = Reflect.get(of, key);
  if (before === undefined) throw new Error(`there is no limit ${name}`);
  const wanted = value === "none" ? NO_LIMIT : Number(value);
  Reflect.set(of, key, typeof before === "number" ? wanted : { burst: wanted, rate: wanted });
}
