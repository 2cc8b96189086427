import { type LoadResult, loadConfig } from "../config/load.ts";

/** What the downward API and the container's own variables will say in the pod, as far as a check has to know. */
const OF_THE_POD = {
  POD_NAME: "pod",
  POD_NAMESPACE: "default",
  NODE_NAME: "node",
  CONSUL_HTTP_TOKEN: "token",
};
const IPV4 = { POD_IP: "10.0.0.1", HOST_IP: "10.0.0.2" };
/** Of a cluster of IPv6, where URLs have them in brackets. */
const IPV6 = { POD_IP: "fd00::1", HOST_IP: "fd00::2" };

/** What a Secret may hold, as far as a check can tell: a word, or an address of one kind or another. */
const GUESSES = [
  "a-secret-of-more-than-thirty-two-octets",
  "redis://secret:6379",
  "https://secret:1",
  "http://secret:1",
  "10.0.0.3:1",
  "/secret",
  "1",
];

/**
 * Checks the configuration of a sidecar whose variables are known only in its pod. `secrets` are the names of those that come
 * from Secrets: for each the guess is taken with which the least is wrong, so that a value which is all secret
 * (`store: "${REDIS_URL}"`) is no mistake.
 */
export function loadWithStandIns(text: string, secrets: readonly string[], file: string): LoadResult {
  const usual = loadGuessing(text, secrets, file, IPV4);
  if (usual.ok) return usual;
  const other = loadGuessing(text, secrets, file, IPV6);
  // What is wrong in either kind of cluster is told of the usual one.
  return other.ok ? other : usual;
}

function loadGuessing(
  text: string,
  secrets: readonly string[],
  file: string,
  addresses: Readonly<Record<string, string>>,
): LoadResult {
  const env: Record<string, string> = { ...OF_THE_POD, ...addresses };
  for (const secret of secrets) env[secret] = GUESSES[0] ?? "";
  let best = loadConfig(text, { file, env });
  for (const secret of secrets)
    for (const guess of GUESSES) {
      if (best.ok) return best;
      const tried = loadConfig(text, { file, env: { ...env, [secret]: guess } });
      if (!tried.ok && tried.issues.length >= best.issues.length) continue;
      env[secret] = guess;
      best = tried;
    }
  return best;
}
