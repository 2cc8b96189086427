import { generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { issueCertificate, makeAuthority } from "../../src/identity/make-certificate.ts";
import { KubernetesApi } from "../../src/kubernetes/api.ts";
import { freePorts } from "./ports.ts";
import { type Completed, type RunningProcess, runProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

/** A real API server with its etcd, and no kubelet: what is created is admitted, stored, and stays pending. */
export interface ApiServer {
  readonly url: string;
  /** PEM file of the authority of its certificate. */
  readonly caFile: string;
  /** Calls as an administrator. */
  readonly api: KubernetesApi;
  /** A file with the token of an account; RBAC decides what it may do. */
  readonly tokenFiles: { readonly admin: string; readonly injector: string };
  kubectl(args: readonly string[], input?: string): Promise<Completed>;
  stop(): Promise<void>;
}

const START_TIMEOUT = 120_000;
const TOKENS = { admin: "administrator", injector: "injector" };
/** The account that the manifests give the injector. */
const INJECTOR = "system:serviceaccount:outrigger:outrigger-injector";

/** Starts both on free ports of 127.0.0.1. Guard the test with `skipUnless("kube-apiserver", "kubectl", "etcd")`. */
export async function startApiServer(): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), "kubernetes-"));
  const [client = 0, peer = 0, secure = 0] = await freePorts(3);
  const file = (name: string): string => join(folder, name);
  const now = Date.now();
  const times = { notBefore: now - 60_000, notAfter: now + 86_400_000 };
  const authority = await makeAuthority({ commonName: "test", ...times });
  const server = await issueCertificate(authority, {
    commonName: "api",
    dns: ["localhost"],
    ips: ["127.0.0.1"],
    ...times,
  });
  const account = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await mkdir(file("etcd"));
  await Promise.all([
    writeFile(file("ca.crt"), authority.certificate),
    writeFile(file("server.crt"), server.certificate),
    writeFile(file("server.key"), server.key),
    writeFile(file("account.key"), account.privateKey.export({ type: "pkcs8", format: "pem" })),
    writeFile(
      file("tokens.csv"),
      `${TOKENS.admin},admin,1,system:masters\n${TOKENS.injector},${INJECTOR},2,"system:serviceaccounts,system:authenticated"\n`,
    ),
    writeFile(file("admin.token"), TOKENS.admin),
    writeFile(file("injector.token"), TOKENS.injector),
  ]);
  const etcd = await startProcess(requirePart("etcd"), [
    ...flags({
      "data-dir": file("etcd"),
      "listen-client-urls": `http://127.0.0.1:${client}`,
      "advertise-client-urls": `http://127.0.0.1:${client}`,
      "listen-peer-urls": `http://127.0.0.1:${peer}`,
      "initial-advertise-peer-urls": `http://127.0.0.1:${peer}`,
      "initial-cluster": `default=http://127.0.0.1:${peer}`,
    }),
    // Nothing that is lost with the machine is missed.
    "--unsafe-no-fsync",
  ]);
  const started = await startProcess(requirePart("kube-apiserver"), [
    ...flags({
      "etcd-servers": `http://127.0.0.1:${client}`,
      "bind-address": "127.0.0.1",
      "secure-port": `${secure}`,
      "tls-cert-file": file("server.crt"),
      "tls-private-key-file": file("server.key"),
      "token-auth-file": file("tokens.csv"),
      "authorization-mode": "RBAC",
      "service-account-issuer": "https://kubernetes.default.svc",
      "service-account-key-file": file("account.key"),
      "service-account-signing-key-file": file("account.key"),
      "service-cluster-ip-range": "10.0.0.0/24",
      "disable-admission-plugins": "ServiceAccount",
    }),
  ]);
  const url = `https://127.0.0.1:${secure}`;
  const tokenFiles = { admin: file("admin.token"), injector: file("injector.token") };
  const api = new KubernetesApi({ url, ca: authority.certificate, tokenFile: tokenFiles.admin });
  const stop = async (): Promise<void> => {
    for (const one of [started, etcd]) {
      one.signal("SIGKILL");
      await one.exited;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await ready(api, started);
  } catch (error) {
    await stop();
    throw error;
  }
  const access = [`--server=${url}`, `--certificate-authority=${file("ca.crt")}`, `--token=${TOKENS.admin}`];
  return {
    url,
    caFile: file("ca.crt"),
    api,
    tokenFiles,
    kubectl: (args, input) =>
      runProcess(requirePart("kubectl"), [...access, ...args], {
        env: { HOME: folder, KUBECONFIG: undefined },
        timeout: 120_000,
        ...(input === undefined ? {} : { input }),
      }),
    stop,
  };
}

/** Waits until it takes objects: its own namespaces are made after it has begun to listen. */
async function ready(api: KubernetesApi, server: RunningProcess): Promise<void> {
  const end = Date.now() + START_TIMEOUT;
  for (let last = "nothing"; ; await sleep(250)) {
    try {
      if ((await api.get("/api/v1/namespaces/default")) !== undefined) return;
      last = "no namespace default yet";
    } catch (error) {
      last = String(error);
    }
    if (Date.now() > end) throw new Error(`the API server was not ready: ${last}\n${server.stderr().slice(-2000)}`);
  }
}

function flags(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}
