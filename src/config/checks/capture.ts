import { formatAddress } from "../../core/address.ts";
import { isLoopback } from "../../discovery/bad-endpoint.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { isDefault } from "./is-default.ts";

/** Ports that no rule can redirect to, and settings of what is not captured. */
export function checkCapture(draft: Draft<FileConfig>, reading: Reading): void {
  const { capture } = draft;
  for (const key of ["inbound", "outbound"] as const) {
    const address = capture?.[key];
    const path = ["capture", key];
    if (address === undefined || !reading.has(path)) continue;
    if (address.kind === "unix" || address.port === 0) {
      reading.reportValue(path, {
        code: "conflict",
        message: `capture.${key} is ${formatAddress(address)}: a rule redirects to a port that is known beforehand`,
        expected: key === "inbound" ? '":15016"' : "127.0.0.1:15011",
      });
    } else if (key === "outbound" && !isLoopback(address.host)) {
      reading.reportValue(path, {
        code: "conflict",
        message:
          "capture.outbound is not on loopback: what the application sends is redirected to there, and others would reach it",
        expected: `127.0.0.1:${address.port}`,
      });
    }
  }
  if (capture !== undefined) return;
  for (const [key, value] of Object.entries({ egress: draft.egress, protocols: draft.protocols })) {
    // Spelled out as the default it is tolerated: a printed configuration can be read again.
    if (value === undefined || !reading.has([key]) || isDefault(key, value)) continue;
    reading.reportKey([key], {
      code: "no-effect",
      message: `${key} has no effect without capture: only captured connections were going somewhere else`,
      expected: "a section capture, or no such key",
    });
  }
}
