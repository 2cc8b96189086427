import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { pino } from "pino";
import { ApiError, KubernetesApi } from "../../src/kubernetes/api.ts";
import { at, isObject, type Json, type JsonObject, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { WebhookCertificate } from "../../src/kubernetes/webhook-certificate.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually } from "../support/with-proxy.ts";

const DAY = 86_400_000;
const LOOK = 60_000;

/** An API server that holds one Secret and one webhook, and refuses what is based on an older state, as the real one. */
class HeldApi extends KubernetesApi {
  secret: JsonObject | undefined = undefined;
  bundle = "";
  /** Whether it is away. */
  away = false;
  private version = 0;

  constructor() {
    super({ url: "https://nowhere.invalid", ca: "", tokenFile: "" });
  }

  override async get(path: string): Promise<Json | undefined> {
    if (this.away) throw new Error("it is away");
    if (path.includes("/secrets/")) return this.secret;
    return { webhooks: [{ name: "pods", clientConfig: { caBundle: this.bundle } }] };
  }

  override create(_path: string, object: Json): Promise<Json> {
    if (this.secret !== undefined) throw new ApiError(409, "it exists");
    return this.store(object);
  }

  override async replace(_path: string, object: Json): Promise<Json> {
    if (textAt(object, "metadata", "resourceVersion") !== textAt(this.secret, "metadata", "resourceVersion"))
      throw new ApiError(409, "it has changed");
    return this.store(object);
  }

  override async patch(_path: string, operations: Json): Promise<Json> {
    assert.ok(Array.isArray(operations));
    for (const operation of operations) this.bundle = textAt(operation, "value") ?? "";
    return null;
  }

  /** The certificates that the API server believes those it dials by. */
  authorities(): string[] {
    const text = Buffer.from(this.bundle, "base64").toString();
    return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  }

  private async store(object: Json): Promise<Json> {
    assert.ok(isObject(object));
    this.secret = {
      ...object,
      metadata: { ...Object(at(object, "metadata")), resourceVersion: String(++this.version) },
    };
    return this.secret;
  }
}

interface Replica {
  readonly used: X509Certificate[];
  readonly certificate: WebhookCertificate;
}

function replica(api: HeldApi, clock: FakeClock): Replica {
  const used: X509Certificate[] = [];
  const certificate = new WebhookCertificate({
    api,
    clock,
    log: pino({ level: "silent" }),
    namespace: "outrigger",
    service: "outrigger-injector",
    secret: "outrigger-injector-certificate",
    webhook: "outrigger-injector",
    onCertificate: (pair) => {
      const made = new X509Certificate(pair.certificate);
      // Before it is used, the API server believes it.
      assert.ok(api.authorities().some((authority) => made.checkIssued(new X509Certificate(authority))));
      used.push(made);
    },
  });
  return { used, certificate };
}

/** Goes on in time, and has a look done at the end of it. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  clock.advance(ms);
  await eventually(
    () => clock.pending > 0,
    () => "the look is over",
    20_000,
  );
  clock.advance(LOOK);
  await eventually(
    () => clock.pending > 0,
    () => "the look is over",
    20_000,
  );
}

test("a certificate is made, used for two thirds of its time, and replaced by itself; the authority before is kept for once", async () => {
  const api = new HeldApi();
  const clock = new FakeClock(Date.now());
  const { used, certificate } = replica(api, clock);
  await certificate.start();
  assert.equal(used.length, 1);
  assert.equal(api.authorities().length, 1);
  assert.match(used[0]?.subjectAltName ?? "", /DNS:outrigger-injector\.outrigger\.svc,/);
  await pass(clock, 19 * DAY);
  assert.equal(used.length, 1, "it is not due");
  await pass(clock, DAY);
  assert.equal(used.length, 2);
  assert.ok((used[1]?.validToDate.getTime() ?? 0) > clock.wall() + 29 * DAY);
  assert.equal(api.authorities().length, 2);
  await pass(clock, 20 * DAY);
  assert.equal(used.length, 3);
  assert.equal(api.authorities().length, 2, "no more than that of now and that before");
  certificate.stop();
  assert.equal(clock.pending, 0);
});

test("a new certificate is used a look after the API server was told of it, by every replica, for it hears of it after a moment", async () => {
  const api = new HeldApi();
  const clock = new FakeClock(Date.now());
  const [one, other] = [replica(api, clock), replica(api, clock)];
  await one.certificate.start();
  await other.certificate.start();
  const [first] = one.used;
  assert.deepEqual(other.used, [first]);
  const look = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await eventually(
      () => clock.pending === 2,
      () => "both have looked",
      20_000,
    );
  };
  await look(20 * DAY);
  assert.equal(api.authorities().length, 2, "told");
  assert.deepEqual([one.used.length, other.used.length], [1, 1]);
  await look(LOOK);
  await look(LOOK);
  assert.deepEqual([one.used.length, other.used.length], [2, 2]);
  assert.equal(one.used[1]?.fingerprint256, other.used[1]?.fingerprint256);
  one.certificate.stop();
  other.certificate.stop();
});

test("of replicas that renew at once one wins, and the other takes what it has made", async () => {
  const api = new HeldApi();
  const clock = new FakeClock(Date.now());
  const [one, other] = [replica(api, clock), replica(api, clock)];
  const started = Promise.all([one.certificate.start(), other.certificate.start()]);
  let done = false;
  void started.then(() => {
    done = true;
  });
  // Who came second looks again after a moment.
  await eventually(
    () => {
      if (clock.pending > 0) clock.advance(1000);
      return done;
    },
    () => "both have one",
    20_000,
  );
  assert.equal(one.used.at(-1)?.fingerprint256, other.used.at(-1)?.fingerprint256);
  one.certificate.stop();
  other.certificate.stop();
});

test("while the API server is away the certificate stays in use, and is looked after again when it is back", async () => {
  const api = new HeldApi();
  const clock = new FakeClock(Date.now());
  const { used, certificate } = replica(api, clock);
  await certificate.start();
  api.away = true;
  await pass(clock, 21 * DAY);
  assert.equal(used.length, 1);
  api.away = false;
  await pass(clock, LOOK);
  await eventually(
    () => used.length === 2,
    () => "a new one",
    20_000,
  );
  certificate.stop();
});

test("a Secret that somebody has emptied, and a bundle that somebody has changed, are put right", async () => {
  const api = new HeldApi();
  const clock = new FakeClock(Date.now());
  const { used, certificate } = replica(api, clock);
  await certificate.start();
  const good = api.bundle;
  api.bundle = "";
  await pass(clock, LOOK);
  assert.equal(api.bundle, good);
  api.secret = { ...api.secret, data: {} };
  await pass(clock, LOOK);
  assert.equal(used.length, 2);
  assert.equal(listAt(await api.get("/webhook"), "webhooks").length, 1);
  certificate.stop();
});
