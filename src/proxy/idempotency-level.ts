import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/** How a method says that it may run more than once: `idempotency_level` of google.protobuf.MethodOptions. */
const HARMLESS: ReadonlyMap<number, string> = new Map([
  [1, "NO_SIDE_EFFECTS"],
  [2, "IDEMPOTENT"],
]);

/** Notes the paths of the methods of a file that say so, with the name of their level. */
export function readLevels({ package: name, service }: FileDescriptorProto, levels: Map<string, string>): void {
  for (const { name: bare, method } of service)
    for (const { name: called, options } of method) {
      const level = HARMLESS.get(options?.idempotencyLevel ?? 0);
      if (level !== undefined) levels.set(`/${name === "" ? bare : `${name}.${bare}`}/${called}`, level);
    }
}
