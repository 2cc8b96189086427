import { readFileSync } from "node:fs";
import { parseAddress } from "../core/address.ts";
import { systemClock } from "../core/clock.ts";
import { pastEarlyEnd } from "../core/early-end.ts";
import { version } from "../core/version.ts";
import { type ApiAccess, KubernetesApi } from "../kubernetes/api.ts";
import { Webhook } from "../kubernetes/webhook.ts";
import { WebhookCertificate } from "../kubernetes/webhook-certificate.ts";
import { createLog, logLevels } from "../observability/log.ts";
import { LogSink, nonBlocking } from "../observability/log-sink.ts";
import { type Command, type Env, Exit, type Input, UsageError } from "./command.ts";
import { meshOptions, readMeshDefaults } from "./mesh-defaults.ts";

/** Where Kubernetes puts what a pod needs to speak to the API server. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Milliseconds from being not ready to closing: the API server still sends reviews for so long. */
const NOTICE = 5_000;

/** `outrigger injector`. */
export const injectorCommand: Command = {
  summary: "the webhook that puts the sidecar into pods as Kubernetes makes them",
  options: {
    ...meshOptions,
    listen: { value: "ADDRESS", doc: "where it listens, with TLS; default: :8443" },
    namespace: { value: "NAME", doc: "its own namespace; default: the variable POD_NAMESPACE" },
    service: { value: "NAME", doc: "the Service that leads to it; default: outrigger-injector" },
    secret: { value: "NAME", doc: "the Secret for its certificate; default: outrigger-injector-certificate" },
    webhook: { value: "NAME", doc: "its MutatingWebhookConfiguration; default: outrigger-injector" },
    server: { value: "URL", doc: "the API server; default: that of the cluster it runs in" },
    "server-ca": { value: "FILE", doc: "the authority of the API server's certificate" },
    "token-file": { value: "FILE", doc: "the token for the API server" },
    "log-level": { value: "LEVEL", doc: "default: info" },
  },
  async run(input) {
    const defaults = readMeshDefaults(input);
    const address = parseAddress(input.value("listen") ?? ":8443");
    if (typeof address === "string") throw new UsageError(`--listen: ${address}`);
    if (address.kind === "unix") throw new UsageError("--listen: the API server calls over TCP");
    const api = new KubernetesApi(accessOf(input));
    const namespace = input.value("namespace") ?? input.env.POD_NAMESPACE;
    if (namespace === undefined)
      throw new UsageError("its own namespace is not known: give --namespace or POD_NAMESPACE");

    const sink = new LogSink({ fd: nonBlocking(2), clock: systemClock, onDropped: () => {} });
    const level = logLevels.find((one) => one === (input.value("log-level") ?? "info"));
    if (level === undefined) throw new UsageError(`--log-level: expected ${logLevels.join(", ")}`);
    const { logger: log } = createLog({ service: "injector", version, level, clock: systemClock, sink });
    const webhook = new Webhook({ host: address.host, port: address.port, defaults, log });
    const certificate = new WebhookCertificate({
      api,
      clock: systemClock,
      log,
      namespace,
      service: input.value("service") ?? "outrigger-injector",
      secret: input.value("secret") ?? "outrigger-injector-certificate",
      webhook: input.value("webhook") ?? "outrigger-injector",
      onCertificate: (pair) => webhook.useCertificate(pair),
    });
    const asked = signalled();
    let code: number = Exit.OK;
    try {
      const port = await webhook.listen();
      await Promise.race([certificate.start(), asked]);
      process.stdout.write(`outrigger injector ready port=${port}\n`);
      await asked;
      webhook.beginDrain();
      await new Promise<void>((resolve) => systemClock.setTimer(NOTICE, resolve));
    } catch (error) {
      log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
      code = Exit.FAILED;
    }
    certificate.stop();
    await webhook.close();
    sink.flushSync(500);
    return code;
  },
};

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    process.on("SIGTERM", () => resolve());
    process.on("SIGINT", () => resolve());
    pastEarlyEnd();
  });
}

function accessOf(input: Input): ApiAccess {
  const url = input.value("server") ?? inCluster(input.env);
  if (url === undefined) throw new UsageError("this is no pod of Kubernetes: name the API server with --server");
  const caFile = input.value("server-ca") ?? `${ACCOUNT}/ca.crt`;
  const tokenFile = input.value("token-file") ?? `${ACCOUNT}/token`;
  try {
    readFileSync(tokenFile);
    return { url, ca: readFileSync(caFile, "utf8"), tokenFile };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function inCluster(env: Env): string | undefined {
  const host = env.KUBERNETES_SERVICE_HOST;
  if (host === undefined) return undefined;
  return `https://${host.includes(":") ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? "443"}`;
}
