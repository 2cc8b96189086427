import { X509Certificate } from "node:crypto";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import { issueCertificate, type KeyPair, makeAuthority } from "../identity/make-certificate.ts";
import { ApiError, type KubernetesApi } from "./api.ts";
import { at, isObject, type Json, type JsonObject, listAt, pointer, textAt } from "./json-patch.ts";

/** For which Service a certificate is kept up, and where. */
export interface WebhookCertificateOptions {
  readonly api: KubernetesApi;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  /** The Service by which the API server reaches the webhook. */
  readonly service: string;
  /** The Secret that the replicas of the injector share. */
  readonly secret: string;
  /** The MutatingWebhookConfiguration whose `caBundle` is kept in step. */
  readonly webhook: string;
  /** Milliseconds that a certificate is good for; a new one is made after two thirds. */
  readonly lifetime?: number;
  /** A certificate for new handshakes. */
  readonly onCertificate: (pair: KeyPair) => void;
}

const DAY = 86_400_000;
const LIFETIME = 30 * DAY;
/** Milliseconds between looks at the Secret: another replica may have made a new one. */
const LOOK = 60_000;
/** Milliseconds after a look that failed. */
const RETRY = 5_000;
/** Milliseconds within which every API server has heard of a changed bundle. */
const SETTLES = 30_000;
/** Clocks differ: a certificate is good from this long ago on. */
const SKEW = 300_000;

const FIELDS = { certificate: "tls.crt", key: "tls.key", authority: "ca.crt" } as const;

interface Stored extends KeyPair {
  /** PEM of the authority now, and of the one before while its certificates may be in use. */
  readonly authorities: string;
}

/**
 * The webhook's certificate: made by the injector itself, kept in a Secret that its replicas share, told to the API server
 * in the webhook's `caBundle`, and made anew in time.
 *
 * Invariants:
 * - a certificate is used only after the bundle that leads to it is in the webhook's configuration, and by whoever has one that
 *   is still good only a look later, since API servers hear of the bundle after a moment;
 * - the authority before stays in the bundle, so that a replica that has not looked yet is still believed;
 * - of replicas that renew at once, one wins by the Secret's resourceVersion, and the others take what it made.
 */
export class WebhookCertificate {
  private readonly options: WebhookCertificateOptions;
  private readonly lifetime: number;
  private timer: Timer | undefined = undefined;
  private inUse = "";
  private stopped = false;

  constructor(options: WebhookCertificateOptions) {
    this.options = options;
    this.lifetime = options.lifetime ?? LIFETIME;
  }

  /** Looks, renews where it is time, and goes on doing so. Resolves when there is a certificate, however long that takes. */
  async start(): Promise<void> {
    while (!this.stopped && !(await this.look())) await this.pause(RETRY);
    this.schedule(LOOK);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  private schedule(delay: number): void {
    if (this.stopped) return;
    this.timer = this.options.clock.setTimer(delay, () => {
      void this.look().then((well) => this.schedule(well ? LOOK : RETRY));
    });
  }

  private pause(delay: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer = this.options.clock.setTimer(delay, resolve);
    });
  }

  /** Whether there is a good certificate, in use and believed. */
  private async look(): Promise<boolean> {
    const { log, onCertificate } = this.options;
    try {
      const secret = await this.readSecret();
      const stored = storedIn(secret);
      const good = stored !== undefined && !this.isDue(stored) ? stored : await this.renew(secret, stored);
      if (good === undefined) return false;
      const isNews = await this.tellApiServer(good.authorities);
      if ((isNews || this.isYoung(good)) && this.hasGoodOne()) return true;
      if (good.certificate !== this.inUse) {
        this.inUse = good.certificate;
        onCertificate(good);
        log.info({ expires: new X509Certificate(good.certificate).validTo }, "the webhook's certificate is in use");
      }
      return true;
    } catch (error) {
      log.warn({ err: error }, "the webhook's certificate could not be looked after; it is tried again");
      return false;
    }
  }

  private hasGoodOne(): boolean {
    return this.inUse !== "" && new X509Certificate(this.inUse).validToDate.getTime() > this.options.clock.wall();
  }

  /** Whether another replica may have told the API server of it just now. */
  private isYoung({ certificate }: Stored): boolean {
    const made = new X509Certificate(certificate).validFromDate.getTime() + SKEW;
    return this.options.clock.wall() < made + SETTLES;
  }

  private isDue(stored: Stored): boolean {
    const { validFromDate, validToDate } = new X509Certificate(stored.certificate);
    const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
    const now = this.options.clock.wall();
    // One from the future was made by a replica whose clock is wrong: nobody would believe it.
    return now < from || now >= from + ((to - from) * 2) / 3 || !this.coversNames(stored);
  }

  private coversNames(stored: Stored): boolean {
    return new X509Certificate(stored.certificate).checkHost(this.names()[0] ?? "") !== undefined;
  }

  private names(): string[] {
    const { service, namespace } = this.options;
    return [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`];
  }

  /** Makes a new one and stores it; undefined where another replica was first. */
  private async renew(secret: Json | undefined, before: Stored | undefined): Promise<Stored | undefined> {
    const { api, clock, log } = this.options;
    const now = clock.wall();
    const times = { notBefore: now - SKEW, notAfter: now + this.lifetime };
    const authority = await makeAuthority({ commonName: "outrigger injector", ...times });
    const leaf = await issueCertificate(authority, {
      commonName: this.options.service,
      dns: [...this.names(), "localhost"],
      ips: ["127.0.0.1"],
      ...times,
    });
    const old = before === undefined ? "" : (firstBlock(before.authorities) ?? "");
    const made: Stored = { ...leaf, authorities: `${authority.certificate.trimEnd()}\n${old}` };
    try {
      const object = this.secretOf(made, textAt(secret, "metadata", "resourceVersion"));
      if (secret === undefined) await api.create(this.secretsPath(), object);
      else await api.replace(this.secretPath(), object);
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return undefined;
      throw error;
    }
    log.info({ secret: this.options.secret }, "made a new certificate for the webhook");
    return made;
  }

  private secretOf({ certificate, key, authorities }: Stored, resourceVersion: string | undefined): JsonObject {
    const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");
    const { secret, namespace } = this.options;
    return {
      apiVersion: "v1",
      kind: "Secret",
      type: "kubernetes.io/tls",
      metadata: { name: secret, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
      data: {
        [FIELDS.certificate]: encode(certificate),
        [FIELDS.key]: encode(key),
        [FIELDS.authority]: encode(authorities),
      },
    };
  }

  /** Whether it was news to it. */
  private async tellApiServer(authorities: string): Promise<boolean> {
    const { api, webhook } = this.options;
    const path = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${webhook}`;
    const bundle = Buffer.from(authorities, "utf8").toString("base64");
    const configuration = await api.get(path);
    if (configuration === undefined) throw new Error(`there is no MutatingWebhookConfiguration ${webhook}`);
    const operations = listAt(configuration, "webhooks").flatMap((hook, index): JsonObject[] =>
      textAt(hook, "clientConfig", "caBundle") === bundle
        ? []
        : [{ op: "add", path: pointer("webhooks", index, "clientConfig", "caBundle"), value: bundle }],
    );
    if (operations.length === 0) return false;
    await api.patch(path, operations);
    return true;
  }

  private readSecret(): Promise<Json | undefined> {
    return this.options.api.get(this.secretPath());
  }

  private secretPath(): string {
    return `${this.secretsPath()}/${this.options.secret}`;
  }

  private secretsPath(): string {
    return `/api/v1/namespaces/${this.options.namespace}/secrets`;
  }
}

/** What a Secret holds; undefined where it is not, or no longer, what we wrote. */
function storedIn(secret: Json | undefined): Stored | undefined {
  const data = at(secret, "data");
  if (!isObject(data)) return undefined;
  const read = (field: string): string => Buffer.from(textAt(data, field) ?? "", "base64").toString("utf8");
  const stored = {
    certificate: read(FIELDS.certificate),
    key: read(FIELDS.key),
    authorities: read(FIELDS.authority),
  };
  try {
    return new X509Certificate(stored.certificate).checkIssued(new X509Certificate(stored.authorities))
      ? stored
      : undefined;
  } catch {
    return undefined;
  }
}

/** The first certificate of a PEM text. */
function firstBlock(pem: string): string | undefined {
  return /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(pem)?.[0];
}
