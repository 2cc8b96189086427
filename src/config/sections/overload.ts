import type { OverloadAction } from "../../limits/overload/options.ts";
import { fieldNameType } from "../schema/calls.ts";
import { object } from "../schema/object.ts";
import { parsed } from "../schema/parsed.ts";
import { text } from "../schema/text.ts";
import { type Field, optional, preset, required, section } from "../schema/type.ts";
import { duration, formatPercent, parsePercent, percent, size } from "../schema/units.ts";

/** What stands for an action that is never taken. */
const NEVER = "never";

/** A share of a resource's limit; 0: never. */
const threshold = text<number>({
  noun: "a percentage",
  label: "a percentage such as 95%, or never",
  pattern: "^([0-9]+(\\.[0-9]+)?%|never)$",
  parse: (written) => (written === NEVER ? parsed(0) : parsePercent(written, { min: 0.01, max: 1 })),
  write: (share) => (share === 0 ? NEVER : formatPercent(share)),
  fromNumber: (written) => (Number(written) <= 1 ? formatPercent(Number(written)) : `${written}%`),
});

const docs: Readonly<Record<OverloadAction, string>> = {
  shrinkHeap:
    "From here on garbage is collected every 10s, and what is free then goes back to the system (glibc, with the package koffi).",
  closeIdle: "From here on callers' connections without a call, and silent for 5s, are asked to go.",
  forgetBodies: "From here on no bodies of requests are kept for further attempts.",
  refuseSheddable: "From here on calls are refused that say that they are sheddable.",
  refuseOrdinary: "From here on all calls but critical ones are refused.",
  refuseAll: "From here on all calls are refused but checks of health.",
  refuseConnections: "From here on a new connection is closed at once.",
};

function from(action: OverloadAction, share: number): Field<number> {
  return preset(threshold, share, docs[action]);
}

const memoryActions = {
  shrinkHeap: from("shrinkHeap", 0.85),
  closeIdle: from("closeIdle", 0.9),
  forgetBodies: from("forgetBodies", 0.9),
  refuseSheddable: from("refuseSheddable", 0.92),
  refuseOrdinary: from("refuseOrdinary", 0.95),
  refuseAll: from("refuseAll", 0.98),
  refuseConnections: from("refuseConnections", 0.98),
};

/** `overload` */
export const overload = object({
  interval: preset(duration({ min: 100, max: 60_000 }), 1_000, "How often resources are looked at."),
  recovery: preset(
    percent({ max: 0.5 }),
    0.05,
    "An action ends once every resource is so much of its limit below where the action begins.",
  ),
  criticality: optional(
    fieldNameType(),
    "The metadata field that says how much a call matters: critical, sheddable or anything else.",
    "adaptiveConcurrency.criticality of the service or the upstream",
  ),
  memory: section(
    object({
      limit: optional(
        size(),
        "What the process may have.",
        "the limit of its container; without one it is not watched",
      ),
      ...memoryActions,
    }),
    "Resident memory of the process.",
  ),
  heap: section(
    object({
      limit: optional(size(), "What V8 may have.", "what V8 allows, by its flags and the machine"),
      ...memoryActions,
    }),
    "The heap of each thread, garbage included. Where it is used up the process ends.",
  ),
  loopDelay: optional(
    object({
      limit: required(duration({ max: 60_000 }), "What counts as 100%."),
      refuseSheddable: from("refuseSheddable", 0.7),
      refuseOrdinary: from("refuseOrdinary", 0.9),
      refuseAll: from("refuseAll", 0),
      refuseConnections: from("refuseConnections", 0),
    }),
    "How long a call waits for its turn of the event loop, on average since the last look: each thread's own.",
    "it is not watched",
  ),
});
