import { Runtime, type RuntimeOptions, type UpstreamNews } from "../runtime/runtime.ts";
import { Crew } from "./crew.ts";
import { CrewListeners } from "./crew-listeners.ts";
import { registerCrewMetrics } from "./crew-metrics.ts";

/** The thread that does the rest, and those that carry calls. */
export interface CrewParts {
  readonly runtime: Runtime;
  readonly crew: Crew;
}

/** A runtime whose calls are carried by workers. `write` takes the lines of their logs; `script` is what a thread runs. */
export function makeCrew(
  options: Omit<RuntimeOptions, "listeners" | "elsewhere" | "tell">,
  script: string,
  write: (line: string) => void,
): CrewParts {
  const { services, version } = options;
  const crew: Crew = new Crew({
    services,
    version,
    control: options.otherListeners,
    script,
    write,
    source: (kind) => runtime.sourceOf(kind),
    news: () => illnesses(runtime),
  });
  const runtime: Runtime = new Runtime({
    ...options,
    tell: (news) => crew.tell(news),
    listeners: (identity, mtls) => new CrewListeners(identity, mtls, services, crew),
  });
  registerCrewMetrics(services.metrics.registry, crew);
  return { runtime, crew };
}

/** What the checks of the control thread say against endpoints. */
function* illnesses({ upstreams }: Runtime): IterableIterator<UpstreamNews> {
  for (const { name, endpoints } of upstreams.clusters())
    for (const { label, checked } of endpoints)
      if (checked.kind === "unhealthy")
        yield { upstream: name, of: { kind: "checked", endpoint: label, state: checked } };
}
