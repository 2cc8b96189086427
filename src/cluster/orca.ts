import { readVarint, skip } from "./protobuf-wire.ts";

/**
 * What an application says of its load, xds.data.orca.v3.OrcaLoadReport:
 *
 *     double cpu_utilization = 1;  double mem_utilization = 2;  double rps_fractional = 6;  double eps = 7;
 *     map<string, double> request_cost = 4, utilization = 5, named_metrics = 8;  double application_utilization = 9;
 */
export interface OrcaReport {
  /** By name: `cpu_utilization`, …, and of the maps `named_metrics.NAME`, `utilization.NAME`, `request_cost.NAME`. */
  readonly metrics: ReadonlyMap<string, number>;
}

const doubles: Readonly<Record<number, string>> = {
  1: "cpu_utilization",
  2: "mem_utilization",
  6: "rps_fractional",
  7: "eps",
  9: "application_utilization",
};
const maps: Readonly<Record<number, string>> = { 4: "request_cost", 5: "utilization", 8: "named_metrics" };

/** Octets of a report that are looked at; an application with more metrics than that has something else in mind. */
const MAX_REPORT = 16_384;

/** Reads the value of `endpoint-load-metrics-bin`; undefined where it is no report. */
export function decodeOrca(base64: string): OrcaReport | undefined {
  if (base64.length > MAX_REPORT) return undefined;
  const buffer = Buffer.from(base64, "base64");
  const metrics = new Map<string, number>();
  for (let at = 0; at < buffer.length; ) {
    const tag = readVarint(buffer, at);
    const end = tag === undefined ? undefined : skip(buffer, tag.end, tag.value & 7);
    if (tag === undefined || end === undefined || end > buffer.length) return undefined;
    const field = Math.floor(tag.value / 8);
    const wireType = tag.value & 7;
    const double = doubles[field];
    const map = maps[field];
    if (double !== undefined && wireType === 1) {
      metrics.set(double, buffer.readDoubleLE(tag.end));
    } else if (map !== undefined && wireType === 2) {
      const entry = mapEntry(buffer.subarray(readVarint(buffer, tag.end)?.end ?? end, end));
      if (entry === undefined) return undefined;
      metrics.set(`${map}.${entry.key}`, entry.value);
    }
    at = end;
  }
  return { metrics };
}

/** An entry of a map<string, double>: key = 1, value = 2; what is left out is "" or 0. */
function mapEntry(buffer: Buffer): { readonly key: string; readonly value: number } | undefined {
  let key = "";
  let value = 0;
  for (let at = 0; at < buffer.length; ) {
    const tag = readVarint(buffer, at);
    const end = tag === undefined ? undefined : skip(buffer, tag.end, tag.value & 7);
    if (tag === undefined || end === undefined || end > buffer.length) return undefined;
    if (tag.value === 0x0a) key = buffer.toString("utf8", readVarint(buffer, tag.end)?.end ?? end, end);
    if (tag.value === 0x11) value = buffer.readDoubleLE(tag.end);
    at = end;
  }
  return { key, value };
}
