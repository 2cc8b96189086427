import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { readLevels } from "./idempotency-level.ts";
import type { Idempotence, MethodKnowledge } from "./idempotent-methods.ts";

/**
 * The idempotent methods of a FileDescriptorSet, as `protoc --descriptor_set_out` and `buf build` write it. It is read in the
 * background; until then, and where it cannot be read, no method is known to be idempotent by it.
 */
export class DescriptorFile implements MethodKnowledge {
  private readonly path: string;
  private readonly log: Logger;
  private methods: ReadonlyMap<string, Idempotence> = new Map();
  /** Settles when the file has been read, or could not be. */
  readonly read: Promise<void>;

  constructor(path: string, log: Logger) {
    this.path = path;
    this.log = log;
    this.read = this.load();
  }

  of(path: string): Idempotence | undefined {
    return this.methods.get(path);
  }

  private async load(): Promise<void> {
    try {
      this.methods = await methodsOf(await readFile(this.path), `in ${this.path}`);
      this.log.info({ file: this.path, methods: this.methods.size }, "idempotent methods were read from descriptors");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.log.warn(
        { file: this.path, why },
        "descriptors cannot be read: no method is known to be idempotent by them",
      );
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
