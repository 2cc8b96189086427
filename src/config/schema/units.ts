import { type Parsed, parsed, quote, refused } from "./parsed.ts";
import { text } from "./text.ts";
import type { Type } from "./type.ts";

/** A timer waits 2^31-1 ms at most: these are its whole hours, nearly 25 days. */
const longest = 596 * 3_600_000;
const milliseconds: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const seconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
const bytes: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 };
const quantity = /^([0-9]+(?:\.[0-9]+)?) ?([^0-9\s]*)$/;

/** A time in milliseconds, written `250ms`, `2s`, `10m` or `1h`. */
export function duration(options: { readonly min?: number; readonly max?: number } = {}): Type<number> {
  const { min = 1, max = longest } = options;
  return text({
    noun: "a duration",
    label: "a duration such as 250ms, 2s, 10m or 1h",
    pattern: "^[0-9]+(\\.[0-9]+)?(ms|s|m|h)$",
    parse(written) {
      const result = parseDuration(written);
      if (result.kind === "problem") return result;
      if (result.value === 0 && min > 0) return refused(`${written} is no time at all`);
      if (result.value < min) return refused(`${written} is shorter than ${formatDuration(min)}`);
      return result.value > max ? refused(`${written} is longer than ${formatDuration(max)}`) : result;
    },
    write: formatDuration,
    fromNumber: (written) => (/^[0-9.]+$/.test(written) && Number(written) !== 0 ? `${written}s` : undefined),
  });
}

/** `250ms`, `1.5s`, `2m`: milliseconds. */
export function parseDuration(written: string): Parsed<number> {
  const match = quantity.exec(written);
  if (match === null) return refused(`${quote(written)} is not a duration`, sumOfParts(written));
  const [, amount = "", unit = ""] = match;
  if (unit === "") return refused(`${quote(written)} has no unit`, `${amount}s`);
  const factor = Object.hasOwn(milliseconds, unit) ? milliseconds[unit] : undefined;
  const known = factor === undefined ? otherTimeUnit(unit, Number(amount)) : `${amount}${unit}`;
  if (factor === undefined) return refused(`${quote(unit)} is not a unit of time`, known);
  if (written.includes(" ")) return refused("a space stands before the unit", known);
  const value = Number(amount) * factor;
  return Number.isInteger(value) ? parsed(value) : refused(`${written} is not a whole number of milliseconds`);
}

/** In the largest unit that needs no fraction. */
export function formatDuration(value: number): string {
  for (const unit of ["h", "m", "s"]) {
    const factor = milliseconds[unit] ?? 1;
    if (value !== 0 && value % factor === 0) return `${value / factor}${unit}`;
  }
  return value === 0 ? "0s" : `${value}ms`;
}

function otherTimeUnit(unit: string, amount: number): string | undefined {
  const word = unit.toLowerCase();
  if (/^(ms|msecs?|millis?|milliseconds?)$/.test(word)) return `${amount}ms`;
  if (/^(s|secs?|seconds?)$/.test(word)) return `${amount}s`;
  if (/^(m|mins?|minutes?)$/.test(word)) return `${amount}m`;
  if (/^(h|hrs?|hours?)$/.test(word)) return `${amount}h`;
  return /^(d|days?)$/.test(word) ? `${amount * 24}h` : undefined;
}

/** `1h30m` as `90m`. */
function sumOfParts(written: string): string | undefined {
  if (!/^([0-9]+(ms|s|m|h))+$/.test(written)) return undefined;
  let sum = 0;
  for (const [, amount, unit = ""] of written.matchAll(/([0-9]+)(ms|s|m|h)/g)) {
    sum += Number(amount) * (milliseconds[unit] ?? 0);
  }
  return sum <= longest ? formatDuration(sum) : undefined;
}

/** How often a second, written `10/s`; `/m` and `/h` are understood as well. */
export function rate(): Type<number> {
  return text({
    noun: "a rate",
    label: "a rate such as 10/s, 100/m or 1000/h",
    pattern: "^[0-9]+(\\.[0-9]+)?/(s|m|h)$",
    parse: parseRate,
    write: formatRate,
    fromNumber: (written) => (/^[0-9.]+$/.test(written) ? `${written}/s` : undefined),
  });
}

/** `100/s`, `6/m`: events a second. */
export function parseRate(written: string): Parsed<number> {
  const match = /^([0-9]+(?:\.[0-9]+)?)(?: ?(?:\/|per) ?([a-z]+)|rps|qps)?$/i.exec(written);
  if (match === null) return refused(`${quote(written)} is not a rate`);
  const [, amount = "", unit = "s"] = match;
  const per = Object.hasOwn(seconds, unit) ? seconds[unit] : undefined;
  if (per === undefined || written !== `${amount}/${unit}`) {
    const letter = unit.slice(0, 1).toLowerCase();
    const suggestion = Object.hasOwn(seconds, letter) ? `${amount}/${letter}` : undefined;
    return refused(`${quote(written)} is not a rate`, suggestion);
  }
  return Number(amount) > 0 ? parsed(Number(amount) / per) : refused("a rate of 0 lets nothing through");
}

/** In the shortest span of time that needs no fraction, else a second. */
export function formatRate(perSecond: number): string {
  for (const [unit, length] of Object.entries(seconds)) {
    const amount = Math.round(perSecond * length * 1e6) / 1e6;
    if (Number.isInteger(amount)) return `${amount}/${unit}`;
  }
  return `${perSecond}/s`;
}

/** So many in a stretch of time. */
export interface Quota {
  readonly amount: number;
  /** Milliseconds. */
  readonly per: number;
}

const quotaPeriods: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A whole number of calls in a second, a minute, an hour or a day, written `100/s` or `10000/d`. */
export function quota(): Type<Quota> {
  return text({
    noun: "a rate",
    label: "a rate such as 100/s, 600/m, 1000/h or 10000/d",
    pattern: "^[1-9][0-9]*/(s|m|h|d)$",
    parse: parseQuota,
    write: ({ amount, per }) => `${amount}/${Object.entries(quotaPeriods).find(([, length]) => length === per)?.[0]}`,
    fromNumber: (written) => (/^[1-9][0-9]*$/.test(written) ? `${written}/s` : undefined),
  });
}

/** `100/m`: so many in each period. */
function parseQuota(written: string): Parsed<Quota> {
  const match = /^([0-9]+(?:\.[0-9]+)?)(?: ?(?:\/|per) ?([a-z]+)|rps|qps)?$/i.exec(written);
  if (match === null) return refused(`${quote(written)} is not a rate`);
  const [, amount = "", unit = "s"] = match;
  const letter = unit.slice(0, 1).toLowerCase();
  const per = quotaPeriods[letter];
  if (per === undefined || written !== `${amount}/${letter}`) {
    const suggestion = per === undefined || amount.includes(".") ? undefined : `${amount}/${letter}`;
    return refused(`${quote(written)} is not a rate`, suggestion);
  }
  const calls = Number(amount);
  if (calls === 0) return refused("a rate of 0 lets nothing through");
  if (!Number.isSafeInteger(calls))
    return refused(`${quote(written)} is not a whole number of calls: take a longer time`);
  return parsed({ amount: calls, per });
}

/** A share from 0 to 1, written `50%`. */
/** `min`, `max`: as shares, 1 being 100%. */
export function percent({ min = 0, max = 1 }: { readonly min?: number; readonly max?: number } = {}): Type<number> {
  return text({
    noun: "a percentage",
    label: "a percentage such as 50% or 0.1%",
    pattern: "^[0-9]+(\\.[0-9]+)?%$",
    parse: (written) => parsePercent(written, { min, max }),
    write: formatPercent,
    fromNumber: (written) => (Number(written) <= 1 ? formatPercent(Number(written)) : `${written}%`),
  });
}

/** `12.5%`: the share, 0.125. */
export function parsePercent(written: string, { min, max } = { min: 0, max: 1 }): Parsed<number> {
  const match = /^([0-9]+(?:\.[0-9]+)?)(%?)$/.exec(written);
  if (match === null) return refused(`${quote(written)} is not a percentage`);
  const [, amount = "", sign] = match;
  if (sign === "") return refused(`${quote(written)} has no unit`, `${amount}%`);
  const share = Number(amount) / 100;
  if (share < min) return refused(`${written} is below ${formatPercent(min)}`);
  return share <= max ? parsed(share) : refused(`${written} is above ${formatPercent(max)}`);
}

/** A share as `parsePercent` reads it. */
export function formatPercent(share: number): string {
  return `${Number((share * 100).toPrecision(12))}%`;
}

/** A number of bytes, written `64KiB`. */
export function size(): Type<number> {
  return text({
    noun: "a size",
    label: "a size such as 512B, 64KiB, 10MiB or 1GiB",
    pattern: "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB)$",
    parse: parseSize,
    write: formatSize,
    fromNumber: (written) => `${written}B`,
  });
}

/** `64KiB`: octets. */
export function parseSize(written: string): Parsed<number> {
  const match = quantity.exec(written);
  if (match === null) return refused(`${quote(written)} is not a size`);
  const [, amount = "", unit = ""] = match;
  if (unit === "") return refused(`${quote(written)} has no unit`, `${amount}B`);
  const factor = Object.hasOwn(bytes, unit) ? bytes[unit] : undefined;
  const letter = unit.slice(0, 1).toUpperCase();
  const known = /^[kmg](i?b?|bytes)$/i.test(unit) ? `${amount}${letter}iB` : undefined;
  if (factor === undefined)
    return refused(`${quote(unit)} is not a unit of size`, /^b/i.test(unit) ? `${amount}B` : known);
  if (written.includes(" ")) return refused("a space stands before the unit", `${amount}${unit}`);
  const value = Number(amount) * factor;
  if (!Number.isSafeInteger(value)) return refused(`${written} is not a whole number of bytes`);
  return parsed(value);
}

/** In the largest unit that needs no fraction. */
export function formatSize(value: number): string {
  for (const unit of ["GiB", "MiB", "KiB"]) {
    const factor = bytes[unit] ?? 1;
    if (value !== 0 && value % factor === 0) return `${value / factor}${unit}`;
  }
  return `${value}B`;
}

/** Octets a second, written `10MiB/s`. */
export function byteRate(): Type<number> {
  return text({
    noun: "a rate of bytes",
    label: "a rate of bytes such as 64KiB/s or 10MiB/s",
    pattern: "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB)/s$",
    parse: parseByteRate,
    write: (value) => `${formatSize(value)}/s`,
    fromNumber: (written) => `${written}B/s`,
  });
}

/** `10MiB/s`: octets a second. */
function parseByteRate(written: string): Parsed<number> {
  const amount = written.endsWith("/s") ? written.slice(0, -2) : written;
  const read = parseSize(amount);
  if (read.kind === "problem") {
    const { suggestion } = read;
    return refused(
      `${quote(written)} is not a rate of bytes`,
      suggestion === undefined ? undefined : `${suggestion}/s`,
    );
  }
  if (amount === written) return refused(`${quote(written)} does not say that it is a second's`, `${written}/s`);
  return read.value > 0 ? read : refused("a rate of 0 lets nothing through");
}
