import { Session } from "node:inspector/promises";

const SOURCES = new URL("../../src/", import.meta.url).href;

/**
 * What of src/ runs, block by block, as V8 counts it. Jazzer.js, the maintained fuzzer for Node that is guided by coverage, brings
 * a binary that needs a newer C library than Debian 12 has; this needs nothing but Node.
 */
export class Coverage {
  private readonly session = new Session();

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.session.connect();
    await coverage.session.post("Profiler.enable");
    await coverage.session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    await coverage.take();
    return coverage;
  }

  /** The blocks that have run since this was asked last. */
  async take(): Promise<string[]> {
    const { result } = await this.session.post("Profiler.takePreciseCoverage");
    const blocks: string[] = [];
    for (const { url, functions } of result) {
      if (!url.startsWith(SOURCES)) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) blocks.push(`${url.slice(SOURCES.length)} ${startOffset}-${endOffset}`);
    }
    return blocks;
  }

  stop(): void {
    this.session.disconnect();
  }
}
