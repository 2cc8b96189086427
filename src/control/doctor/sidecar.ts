import { readFile } from "node:fs/promises";
import { askAdmin } from "../admin-client.ts";
import type { ClustersAnswer, ReadyAnswer } from "../answers.ts";
import { type Check, error, type Finding, ok, warning } from "./finding.ts";

const NAME = "sidecar";
/** Descriptors that a busy sidecar may need: a connection takes one. */
const FEW = 4096;

/** What the running sidecar itself says: whether it is ready, and of each upstream whether there is an instance that can be reached. */
export const checkSidecar: Check = async ({ running }) => {
  if (running === undefined) return [];
  const page = async <T>(path: string): Promise<T> => JSON.parse((await askAdmin(running, path)).body) as T;
  const ready = await page<ReadyAnswer>("/ready");
  const { clusters } = await page<ClustersAnswer>("/clusters");
  return [readiness(ready), ...clusters.map(upstreamOf)];
};

function readiness(answer: ReadyAnswer): Finding {
  if (answer.ready) {
    if (answer.detail === undefined) return ok(NAME, "it is ready");
    return warning(NAME, answer.detail, "Correct the file: outrigger check says everything that is wrong with it.");
  }
  const waiting = answer.waiting.map(({ what, detail }) => `${what}: ${detail}`).join("; ");
  return error(NAME, `it is not ready and waits for ${waiting}`, "It gets no calls until that is there.");
}

function upstreamOf({ name, source, staleSince, endpoints }: ClustersAnswer["clusters"][number]): Finding {
  const up = endpoints.filter(({ state }) => state === "up").length;
  const of = `${name}: ${up} of ${endpoints.length} instances are up`;
  if (staleSince !== null)
    return warning(
      NAME,
      `${of}; ${source} has not answered since ${staleSince}`,
      `See what became of ${source}: nothing changes until it answers.`,
    );
  if (up > 0) return ok(NAME, of);
  const why = endpoints
    .map(({ address, state, lastError }) => `${address} is ${state}: ${lastError ?? "unknown"}`)
    .join("; ");
  if (endpoints.length === 0)
    return error(
      NAME,
      `${source} knows no instance of ${name}`,
      "Start the service, or correct its name: calls to it end with NO_ENDPOINTS.",
    );
  return error(NAME, `${of}; ${why}`, "Calls to it fail: start it, or open the way to it.");
}

/** What the machine gives a process. */
export const checkMachine: Check = async () => {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (soft === undefined) return [];
  const evidence = `a process here may open ${soft} files and connections`;
  if (Number(soft) >= FEW) return [ok("machine", evidence)];
  return [
    warning(
      "machine",
      evidence,
      `Raise the limit (ulimit -n, LimitNOFILE) to ${FEW} or more: every connection takes one.`,
    ),
  ];
};
