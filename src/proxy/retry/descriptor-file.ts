import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import type { Clock } from "../../core/clock.ts";
import { watchFile } from "../../core/watch-file.ts";
import { readLevels } from "./idempotency-level.ts";
import type { Idempotence, MethodKnowledge } from "./idempotent-methods.ts";

/**
 * The idempotent methods of a FileDescriptorSet, as `protoc --descriptor_set_out` and `buf build` write it. It is read in the
 * background, and again as it changes; until then no method is known to be idempotent by it. One that cannot be read changes nothing.
 */
export class DescriptorFile implements MethodKnowledge {
  private readonly path: string;
  private readonly log: Logger;
  private methods: ReadonlyMap<string, Idempotence> = new Map();
  private readonly stopWatch: () => void;
  private octets: Buffer | undefined = undefined;
  private problem: string | undefined = undefined;
  /** Settles when the file has been read, or could not be. */
  readonly read: Promise<void>;

  constructor(path: string, log: Logger, clock: Clock) {
    this.path = path;
    this.log = log;
    this.stopWatch = watchFile(path, clock, () => void this.load());
    this.read = this.load();
  }

  close(): void {
    this.stopWatch();
  }

  of(path: string): Idempotence | undefined {
    return this.methods.get(path);
  }

  private async load(): Promise<void> {
    try {
      const before = this.octets;
      this.octets = undefined;
      const octets = await readFile(this.path);
      this.octets = octets;
      if (before?.equals(octets) === true) return;
      this.methods = await methodsOf(octets, `in ${this.path}`);
      this.problem = undefined;
      this.log.info({ file: this.path, methods: this.methods.size }, "idempotent methods were read from descriptors");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why === this.problem) return;
      this.problem = why;
      const kept = this.methods.size === 0 ? "no method is known to be idempotent by them" : "those of before stay";
      this.log.warn({ file: this.path, why }, `descriptors cannot be read: ${kept}`);
    }
  }
}

/** The methods that say so. The library is loaded only where there is a file. */
async function methodsOf(octets: Uint8Array, source: string): Promise<Map<string, Idempotence>> {
  const { fromBinary } = await import("@bufbuild/protobuf");
  const { FileDescriptorSetSchema } = await import("@bufbuild/protobuf/wkt");
  const methods = new Map<string, Idempotence>();
  for (const file of fromBinary(FileDescriptorSetSchema, octets).file) readLevels(file, source, methods);
  return methods;
}
