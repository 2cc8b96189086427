/** What one run of a case on one peer showed. Latencies are in microseconds. */
export interface Sample {
  /** Answered calls inside of the measured window. */
  readonly calls: number;
  readonly callsPerSecond: number;
  /** The proxy's user and system time; undefined where there is no proxy. */
  readonly cpuSeconds: number | undefined;
  readonly seconds: number;
  /** Bytes of answers. */
  readonly bytes: number;
  readonly meanUs: number;
  /** Undefined with h2load, which reports no percentiles. */
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  /** Calls that were not answered as they had to be, by what was wrong with them. */
  readonly failures: Readonly<Record<string, number>>;
}

/** CPU microseconds of the proxy for each call; undefined where nothing was measured. */
export function cpuPerCall(sample: Sample): number | undefined {
  return sample.cpuSeconds === undefined || sample.calls === 0 ? undefined : (sample.cpuSeconds * 1e6) / sample.calls;
}

/** CPU seconds of the proxy for each GiB of answers. */
export function cpuPerGiB(sample: Sample): number | undefined {
  return sample.cpuSeconds === undefined || sample.bytes === 0
    ? undefined
    : (sample.cpuSeconds / sample.bytes) * 1024 ** 3;
}

/** Megabytes (10^6) a second. */
export function throughput(sample: Sample): number {
  return sample.bytes / sample.seconds / 1e6;
}
