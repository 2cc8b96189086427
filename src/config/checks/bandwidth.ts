import type { BandwidthOptions } from "../../limits/bandwidth/limits.ts";
import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { formatSize } from "../schema/units.ts";

/** Octets of a frame: less than that at once is more work than octets. */
const LEAST_BURST = 16_384;

/** A limit of bandwidth that limits nothing, or lets hardly anything through. `path`: of the bandwidth block. */
export function checkBandwidth(path: Path, block: Draft<BandwidthOptions> | undefined, reading: Reading): void {
  if (block === undefined) return;
  const { burst } = block;
  if (!reading.has([...path, "request"]) && !reading.has([...path, "response"]))
    reading.reportKey(path, {
      code: "no-effect",
      message: "no octet is held back: it has neither request nor response",
      expected: "request, response or both",
    });
  if (burst !== undefined && burst < LEAST_BURST)
    reading.reportValue([...path, "burst"], {
      code: "conflict",
      message: `burst of ${formatSize(burst)} is less than a frame`,
      expected: `at least ${formatSize(LEAST_BURST)}`,
    });
}
