/** A field of a value out of JSON, whatever that is; undefined where there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** A field that is a text which is not empty. */
export function textIn(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === "string" && found !== "" ? found : undefined;
}

/** A field that is a list; an absent one is empty. */
export function listIn(value: unknown, name: string): readonly unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}

/** A field that is an object, as name and value; an absent one is empty. */
export function entriesIn(value: unknown, name: string): [string, unknown][] {
  const found = field(value, name);
  return typeof found === "object" && found !== null && !Array.isArray(found) ? Object.entries(found) : [];
}

/** A field that is a finite number other than 0, which stands for an absent one where Go writes JSON. */
export function numberIn(value: unknown, name: string): number | undefined {
  const found = field(value, name);
  return typeof found === "number" && Number.isFinite(found) && found !== 0 ? found : undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
};

/** A field that is a duration as Go writes it, `1m30s` or a number of nanoseconds, in milliseconds; 0 counts as absent. */
export function durationIn(value: unknown, name: string): number | undefined {
  const found = field(value, name);
  if (typeof found === "number") return found === 0 || !Number.isFinite(found) ? undefined : found / 1e6;
  if (typeof found !== "string" || !/^-?(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(found)) return undefined;
  let sum = 0;
  for (const [, count, unit = ""] of found.matchAll(/([\d.]+)([a-zµμ]+)/g)) sum += Number(count) * (UNITS[unit] ?? 0);
  if (sum === 0) return undefined;
  return found.startsWith("-") ? -sum : sum;
}
