import type { EjectionCause, OutlierRecord } from "./record.ts";
import type { OutlierSettings } from "./settings.ts";

interface Counted {
  readonly outlier: OutlierRecord;
}

interface Found<E> {
  readonly endpoint: E;
  readonly cause: EjectionCause;
  readonly detail: string;
}

/** Endpoints whose calls failed too often since the last look: by themselves, or beside the others (gRFC A50). */
export function* findUnusual<E extends Counted>(
  endpoints: readonly E[],
  settings: OutlierSettings,
): Iterable<Found<E>> {
  const { failurePercentage, successRate } = settings;
  if (successRate !== undefined) {
    const { deviations, minimumCalls, minimumEndpoints } = successRate;
    const busy = endpoints.filter(({ outlier }) => calls(outlier) >= minimumCalls);
    if (busy.length >= minimumEndpoints) {
      const rates = busy.map(({ outlier }) => outlier.good / calls(outlier));
      const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
      const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
      const bound = mean - deviations * Math.sqrt(variance);
      for (const [at, endpoint] of busy.entries()) {
        const rate = rates[at] ?? 1;
        if (rate < bound)
          yield {
            endpoint,
            cause: "successRate",
            detail: `${share(rate)} of its calls succeeded, ${share(mean)} in the mean`,
          };
      }
    }
  }
  if (failurePercentage !== undefined) {
    const { threshold, minimumCalls, minimumEndpoints } = failurePercentage;
    const busy = endpoints.filter(({ outlier }) => calls(outlier) >= minimumCalls);
    if (busy.length >= minimumEndpoints) {
      for (const endpoint of busy) {
        const { bad } = endpoint.outlier;
        const all = calls(endpoint.outlier);
        if (bad / all >= threshold)
          yield { endpoint, cause: "failurePercentage", detail: `${bad} of ${all} calls failed` };
      }
    }
  }
}

function calls({ good, bad }: OutlierRecord): number {
  return good + bad;
}

function share(rate: number): string {
  return `${Math.round(rate * 1000) / 10}%`;
}
