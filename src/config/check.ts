import { checkAdaptiveConcurrency } from "./checks/adaptive-concurrency.ts";
import { checkAdmin } from "./checks/admin.ts";
import { checkAuthorization } from "./checks/authorization.ts";
import { checkBalancing } from "./checks/balancing.ts";
import { checkBandwidth } from "./checks/bandwidth.ts";
import { checkCapture } from "./checks/capture.ts";
import { checkConnections } from "./checks/connections.ts";
import { checkDiscovery } from "./checks/discovery.ts";
import { checkExternalAuthorization } from "./checks/external-authorization.ts";
import { checkFaults } from "./checks/faults.ts";
import { checkJwt } from "./checks/jwt.ts";
import { checkListeners } from "./checks/listeners.ts";
import { checkMtls } from "./checks/mtls.ts";
import { checkOverload } from "./checks/overload.ts";
import { checkProtocols } from "./checks/protocol.ts";
import { checkRateLimits } from "./checks/rate-limits.ts";
import { checkRoutes } from "./checks/routes.ts";
import { checkService } from "./checks/service.ts";
import { checkUpstreams } from "./checks/upstreams.ts";
import { checkWorkers } from "./checks/workers.ts";
import type { Draft } from "./draft.ts";
import type { Reading } from "./reading.ts";
import type { FileConfig } from "./schema.ts";

/** Finds what is wrong between values that are each right: contradictions, and combinations without effect. */
export function check(
  draft: Draft<FileConfig>,
  env: Readonly<Record<string, string | undefined>>,
  reading: Reading,
): void {
  checkListeners(draft, reading);
  checkConnections(draft, reading);
  checkAdmin(draft, reading);
  checkCapture(draft, reading);
  checkDiscovery(draft, reading);
  checkService(draft, reading);
  checkAdaptiveConcurrency(["service", "adaptiveConcurrency"], draft.service?.adaptiveConcurrency, reading);
  checkBandwidth(["service", "bandwidth"], draft.service?.bandwidth, reading);
  checkUpstreams(draft, env, reading);
  checkProtocols(draft, reading);
  checkFaults(draft, reading);
  checkRoutes(draft, reading);
  checkRateLimits(draft, reading);
  checkOverload(draft, reading);
  checkWorkers(draft, reading);
  checkMtls(draft, reading);
  checkAuthorization(draft, reading);
  checkJwt(draft, reading);
  checkExternalAuthorization(draft, reading);
  checkBalancing(draft, reading);
}
