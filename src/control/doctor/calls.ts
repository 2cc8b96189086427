import type { Explanation } from "../../observability/explain/explanation.ts";
import type { ExplainedCall } from "../../observability/explain/explanations.ts";
import { type AdminTarget, askAdmin } from "../admin-client.ts";
import { type Check, type Finding, ok, warning } from "./finding.ts";

const NAME = "calls";

/**
 * What became of the last calls of the running sidecar: a name that is looked up on demand and has no instance is forgotten, and
 * only the calls to it show that it is missed.
 */
export const checkCalls: Check = async ({ running }) => {
  if (running === undefined) return [];
  const { calls = [] } = await page<{ calls?: readonly ExplainedCall[] }>(running, "");
  return calls.length === 0 ? [] : [await judge(calls, running)];
};

async function judge(calls: readonly ExplainedCall[], running: AdminTarget): Promise<Finding> {
  const ended = calls.filter(({ reason }) => reason !== null);
  const [last] = ended;
  if (last === undefined) return ok(NAME, `of the last ${calls.length} none was ended by a sidecar`);
  const counts = new Map<string, number>();
  for (const { reason } of ended) counts.set(String(reason), (counts.get(String(reason)) ?? 0) + 1);
  const reasons = [...counts].map(([reason, count]) => `${count} ${reason}`).join(", ");
  const { explanations: [explanation] = [] } = await page<{ explanations?: readonly Explanation[] }>(
    running,
    `?id=${last.id}`,
  );
  const to =
    explanation === undefined ? "" : ` to ${explanation.authority ?? explanation.upstream} at ${explanation.startedAt}`;
  return warning(
    NAME,
    `of the last ${calls.length} a sidecar ended ${ended.length}: ${reasons}; the last one was ${last.path}${to}`,
    `outrigger explain ${last.id} says why; docs/reasons.md has what to do about each reason.`,
  );
}

async function page<T>(running: AdminTarget, query: string): Promise<T> {
  return JSON.parse((await askAdmin(running, `/explain${query}`)).body) as T;
}
