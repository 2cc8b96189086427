import type { Call, Failure } from "../http/call.ts";
import { withField } from "../http/head-edit.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import type { Explanation } from "../observability/explain/explanation.ts";
import type { Explanations } from "../observability/explain/explanations.ts";

/** Asks for an explanation with "1" in a request, and is one in the answer: in its trailers, or its head where it has none. */
export const EXPLAIN = "outrigger-explain";

/** Octets of the field: peers take 8 KiB of header list, or 16. */
const MOST = 4096;

/** Who may read in the trailers of an answer what was decided about the call. */
export class ExplainCallers {
  /** The application beside this sidecar. */
  private application = false;
  private identities: readonly RegExp[] = [];

  /** `explain.callers`: `application`, or a SPIFFE id in which `*` stands for any part between slashes. */
  set(callers: readonly string[]): void {
    this.application = callers.includes("application");
    this.identities = callers
      .filter((caller) => caller !== "application")
      .map((glob) => new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")}$`));
  }

  allows({ direction, identity }: Call): boolean {
    if (direction === "outbound") return this.application;
    return identity !== undefined && this.identities.some((form) => form.test(identity));
  }
}

/** Marks a call whose caller asks, and may: nothing of it is written over until it is told, which is in the end. */
export function heedAsking(call: Call, head: Head, callers: ExplainCallers): void {
  if (head.get(EXPLAIN) !== "1" || !callers.allows(call)) return;
  call.facts = [];
  call.explained = true;
}

/** A failure of our own with the explanation of the call, where that is wanted. */
export function explainedFailure(explanations: Explanations, call: Call, what: Failure): Failure {
  if (!call.explained) return what;
  const text = explanationText(explanations.explain(call), undefined);
  return { ...what, fields: [...(what.fields ?? []), [EXPLAIN, text]] };
}

/** The trailers with the explanation of the call, and in it that of the sidecar which was called, where it gave one. */
export function explainedHead(headers: HeaderTable, explanations: Explanations, call: Call, head: Head): Head {
  return withField(headers, head, EXPLAIN, explanationText(explanations.explain(call), head.get(EXPLAIN)));
}

/** As JSON in printable ASCII. What does not fit is left out, the least telling first. */
export function explanationText(explanation: Explanation, next: string | undefined): string {
  const { steps, ...facts } = explanation;
  const brief = steps.map(({ at, decision, text, value, threshold }) => ({ at, decision, text, value, threshold }));
  const texts = steps.map(({ text }) => text);
  const forms: (() => unknown)[] = [
    () => ({ ...explanation, ...nextOf(next) }),
    () => ({ ...facts, steps: brief, ...nextOf(next) }),
    () => ({ ...facts, steps: brief }),
    () => ({ ...facts, steps: texts }),
    () => ({ id: facts.id, traceId: facts.traceId, reason: facts.reason }),
  ];
  for (const form of forms) {
    const text = ascii(JSON.stringify(form()));
    if (text.length <= MOST) return text;
  }
  return "{}";
}

function nextOf(text: string | undefined): { readonly next?: unknown } {
  if (text === undefined) return {};
  try {
    return { next: JSON.parse(text) };
  } catch {
    return {};
  }
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
