import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { checkRetry } from "./retry.ts";

type Route = Draft<FileConfig["routes"]> extends readonly (infer R)[] | undefined ? R : never;

/** Routes that lead nowhere, that can never be taken, or whose shares are no whole. */
export function checkRoutes(draft: Draft<FileConfig>, reading: Reading): void {
  const names = new Set<string>();
  const above = new Map<string, string>();
  for (const [index, route] of (draft.routes ?? []).entries()) {
    const path = ["routes", index];
    if (route.name !== undefined && names.has(route.name))
      reading.reportValue([...path, "name"], {
        code: "conflict",
        message: `${route.name} is the name of another route as well`,
        expected: "a name of its own",
      });
    if (route.name !== undefined) names.add(route.name);
    checkNames(path, route, draft, reading);
    checkShares(path, route, reading);
    checkReach(path, route, above, reading);
    checkRetry([...path, "retry"], route.retry, route.timeout, reading);
  }
}

function checkNames(path: Path, route: Route, draft: Draft<FileConfig>, reading: Reading): void {
  const known = (name: string | undefined, at: Path): void => {
    if (name === undefined || draft.upstreams?.has(name) === true) return;
    reading.reportValue(at, {
      code: "conflict",
      message: `no upstream is called ${name}`,
      expected: "a name under upstreams",
    });
  };
  known(route.upstream, [...path, "upstream"]);
  known(route.to, [...path, "to"]);
  known(route.mirror?.to, [...path, "mirror", "to"]);
  for (const [at, way] of (route.split ?? []).entries()) known(way.to, [...path, "split", at]);
}

function checkShares(path: Path, route: Route, reading: Reading): void {
  const { split, to, stickyBy, mirror } = route;
  if (split !== undefined && split.length > 0) {
    const sum = split.reduce((all, { share }) => all + (share ?? Number.NaN), 0);
    if (Math.abs(sum - 1) > 1e-9)
      reading.reportKey([...path, "split"], {
        code: "invalid-value",
        message: `the shares of this split sum to ${Number((sum * 100).toFixed(6))}%`,
        expected: "100%",
      });
    if (to !== undefined)
      reading.reportKey([...path, "to"], {
        code: "conflict",
        message: "a route leads to one upstream or splits calls over several, not both",
        expected: "to or split",
      });
  } else if (stickyBy !== undefined) {
    reading.reportKey([...path, "stickyBy"], {
      code: "no-effect",
      message: "stickyBy has no effect without a split",
      expected: "split beside it",
    });
  }
  if (mirror?.share === 0)
    reading.reportValue([...path, "mirror", "share"], {
      code: "no-effect",
      message: "a mirror of 0% copies no call",
      expected: "more than 0%, or no mirror",
    });
  if (mirror !== undefined && mirror.compare !== "metadata" && (mirror.ignore?.length ?? 0) > 0)
    reading.reportKey([...path, "mirror", "ignore"], {
      code: "no-effect",
      message: "ignore has no effect: no metadata is compared",
      expected: "compare: metadata beside it",
    });
}

/** A route below one that takes every call it could match is never taken. `above`: by upstream and method, those without metadata. */
function checkReach(path: Path, route: Route, above: Map<string, string>, reading: Reading): void {
  const { upstream, match, name } = route;
  const method = match?.method ?? "*";
  const service = method.includes("/") ? `${method.slice(0, method.indexOf("/"))}/*` : "*";
  const taker = [method, service, "*"].map((pattern) => above.get(`${upstream} ${pattern}`)).find((found) => found);
  if (taker !== undefined)
    reading.reportKey(path, {
      code: "no-effect",
      message: `this route can never match: ${taker}, above it, takes all of its calls`,
      expected: `${name ?? "this one"} above ${taker}`,
    });
  if ((match?.metadata?.size ?? 0) === 0 && name !== undefined && taker === undefined)
    above.set(`${upstream} ${method}`, name);
}
