import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import type { Idempotence } from "./idempotent-methods.ts";

/** How a method says that it may run more than once: `idempotency_level` of google.protobuf.MethodOptions. */
const HARMLESS: ReadonlyMap<number, string> = new Map([
  [1, "NO_SIDE_EFFECTS"],
  [2, "IDEMPOTENT"],
]);

/** Notes the methods of a file that say so, by their paths. `source`: where the file is from, behind "the level is X ". */
export function readLevels(
  { package: name, service }: FileDescriptorProto,
  source: string,
  methods: Map<string, Idempotence>,
): void {
  for (const { name: bare, method } of service)
    for (const { name: called, options, serverStreaming } of method) {
      const level = HARMLESS.get(options?.idempotencyLevel ?? 0);
      if (level === undefined) continue;
      const proof = `the method's idempotency_level is ${level} ${source}`;
      methods.set(`/${name === "" ? bare : `${name}.${bare}`}/${called}`, { proof, single: !serverStreaming });
    }
}
