import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { readLevels } from "./idempotency-level.ts";
import type { MethodKnowledge } from "./idempotent-methods.ts";

/**
 * The idempotent methods of a FileDescriptorSet, as `protoc --descriptor_set_out` and `buf build` write it. It is read in the
 * background; until then, and where it cannot be read, no method is known to be idempotent by it.
 */
export class DescriptorFile implements MethodKnowledge {
  private readonly path: string;
  private readonly log: Logger;
  private levels: ReadonlyMap<string, string> = new Map();
  /** Settles when the file has been read, or could not be. */
  readonly read: Promise<void>;

  constructor(path: string, log: Logger) {
    this.path = path;
    this.log = log;
    this.read = this.load();
  }

  sourceFor(path: string): string | undefined {
    const level = this.levels.get(path);
    return level === undefined ? undefined : `the method's idempotency_level is ${level} in ${this.path}`;
  }

  private async load(): Promise<void> {
    try {
      this.levels = await levelsOf(await readFile(this.path));
      this.log.info({ file: this.path, methods: this.levels.size }, "idempotent methods were read from descriptors");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.log.warn(
        { file: this.path, why },
        "descriptors cannot be read: no method is known to be idempotent by them",
      );
    }
  }
}

/** Paths of the methods that say so, with the level's name. The library is loaded only where there is a file. */
async function levelsOf(octets: Uint8Array): Promise<Map<string, string>> {
  const { fromBinary } = await import("@bufbuild/protobuf");
  const { FileDescriptorSetSchema } = await import("@bufbuild/protobuf/wkt");
  const levels = new Map<string, string>();
  for (const file of fromBinary(FileDescriptorSetSchema, octets).file) readLevels(file, levels);
  return levels;
}
