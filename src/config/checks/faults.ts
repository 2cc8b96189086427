import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

/** Faults that do nothing, that are never reached, or that cannot be told apart. */
export function checkFaults(draft: Draft<FileConfig>, reading: Reading): void {
  const names = new Set<string>();
  for (const [index, fault] of (draft.faults ?? []).entries()) {
    const path = ["faults", index];
    const gives = (key: string): boolean => reading.has([...path, key]);
    if (fault.delay === undefined && fault.abort === undefined && !gives("delay") && !gives("abort"))
      reading.reportKey(path, { code: "no-effect", message: "this fault does nothing", expected: "delay or abort" });
    if (fault.percentage === 0)
      reading.reportValue([...path, "percentage"], {
        code: "no-effect",
        message: "a fault of 0% befalls no call",
        expected: "more than 0%, or no such fault",
      });
    if (fault.name !== undefined && names.has(fault.name))
      reading.reportValue([...path, "name"], {
        code: "conflict",
        message: `${fault.name} is the name of another fault as well`,
        expected: "a name of its own",
      });
    if (fault.name !== undefined) names.add(fault.name);
    const upstream = fault.match?.upstream;
    if (upstream !== undefined && fault.direction === "inbound")
      reading.reportValue([...path, "match", "upstream"], {
        code: "no-effect",
        message: "this matches no call: inbound calls are for no upstream",
        expected: "no upstream, or direction: outbound",
      });
  }
}
