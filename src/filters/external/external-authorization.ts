import type { Logger } from "pino";
import { remembered } from "../../core/remembered.ts";
import { type Call, type Failure, failure } from "../../http/call.ts";
import { matchMethod, readablePath } from "../../http/call-match.ts";
import { changeHead } from "../../http/field-change.ts";
import { nameAsRead } from "../../http/field-name.ts";
import { HeadFilter } from "../../http/head-edit.ts";
import type { HeaderTable } from "../../http/headers.ts";
import { Status } from "../../http/reason.ts";
import type { SpiffeId } from "../../identity/spiffe.ts";
import { hasField } from "../authorization-rule.ts";
import type { Filter, Verdict } from "../filter.ts";
import { pathReadings } from "../path-readings.ts";
import { type CheckAnswer, questionOf } from "./check.ts";
import { denial } from "./denial.ts";
import { answerChanges, requestChanges } from "./service-fields.ts";

/** `authorization.external`. */
export interface ExternalOptions {
  /** How the service is called in logs: the name of its upstream, or its address. */
  readonly service: string;
  /** Milliseconds for an answer. */
  readonly timeout: number;
  /** What becomes of calls while it does not answer. */
  readonly onFailure: "deny" | "allow";
  /** The gRPC status of those that are denied for that. */
  readonly failureStatus: number;
  /** shadow: calls do not wait for its answer, which changes nothing. */
  readonly mode: "enforce" | "shadow";
  /** Which calls it is asked about: of any of the methods, and with all of the fields. */
  readonly match: { readonly methods: readonly string[]; readonly metadata: ReadonlyMap<string, string> };
  /** Names of fields that it is shown, with `*` at the end for all that begin so. */
  readonly show: readonly string[];
  /** Fields that it alone may give a call. */
  readonly reserved: readonly string[];
  readonly context: ReadonlyMap<string, string>;
}

/** What a question came to: a message in the protocol's binary form, or why there is none. */
export type Answer = { readonly message: Buffer } | { readonly failed: string };

/**
 * Asks the service about a call, within `timeout` milliseconds. `done` is called once, unless what this returns was called
 * before, by which the question is withdrawn.
 */
export type Ask = (question: Buffer, call: Call, timeout: number, done: (answer: Answer) => void) => () => void;

/** What asking a service needs. */
export interface ExternalServices {
  readonly time: { now(): number };
  readonly clock: { wall(): number };
  readonly headers: HeaderTable;
  readonly log: Logger;
  readonly idOf: (call: Call) => string;
}

/** What came of questions. */
export interface ExternalCounts {
  allowed: number;
  denied: number;
  /** The service did not answer, and `onFailure` let the call in, or did not. */
  failedAllowed: number;
  failedDenied: number;
  /** The call ended first. */
  abandoned: number;
  /** What would have been, in shadow. */
  shadowAllowed: number;
  shadowDenied: number;
  shadowFailed: number;
}

interface Policy {
  readonly options: ExternalOptions;
  readonly matches: (call: Call) => boolean;
  readonly shown: (name: string) => boolean;
  readonly forged: HeadFilter | undefined;
}

/** Milliseconds between two lines of the log about the same. */
const QUIET = 10_000;

/**
 * Has a service of Envoy's external authorization protocol decide about calls, each one anew: nothing is remembered.
 *
 * Invariants: a call waits no longer than `timeout` and its own deadline; a question whose call has ended is withdrawn; what a caller
 * sends of reserved fields never passes, whether or not the service is asked and answers.
 */
export class ExternalAuthorization {
  /** How it is asked. */
  ask: Ask = (_question, _call, _timeout, done) => {
    done({ failed: "there is no service" });
    return () => {};
  };
  /** Who this sidecar is; undefined while it has no certificate. */
  own: () => SpiffeId | undefined = () => undefined;
  readonly counts: ExternalCounts = {
    allowed: 0,
    denied: 0,
    failedAllowed: 0,
    failedDenied: 0,
    abandoned: 0,
    shadowAllowed: 0,
    shadowDenied: 0,
    shadowFailed: 0,
  };
  /** Whether it answered when it was last asked, and if not, why. */
  failing: string | undefined = undefined;
  private readonly services: ExternalServices;
  private policy: Policy | undefined = undefined;
  private readonly waiting = new Map<Call, () => void>();
  private readonly told = new Map<string, number>();
  private readonly messages = new Lazy(() => import("./messages.ts"));

  constructor(services: ExternalServices) {
    this.services = services;
  }

  /** In force from the next call on. */
  apply(options: ExternalOptions | undefined): void {
    if (options === undefined || options.service !== this.policy?.options.service) this.failing = undefined;
    const { headers } = this.services;
    const reserved = new Set(options?.reserved.map(nameAsRead));
    this.policy = options && {
      options,
      matches: matcherOf(options.match),
      shown: namesMatcher(options.show),
      forged: reserved.size === 0 ? undefined : new HeadFilter(headers, (name) => reserved.has(nameAsRead(name))),
    };
  }

  get options(): ExternalOptions | undefined {
    return this.policy?.options;
  }

  /** Calls that wait for an answer. */
  get pending(): number {
    return this.waiting.size;
  }

  onRequest(call: Call): Verdict | Promise<Verdict> {
    const { policy } = this;
    if (policy === undefined) return undefined;
    if (policy.forged !== undefined) call.head = policy.forged.apply(call.head);
    if (!policy.matches(call)) return undefined;
    if (policy.options.mode === "shadow") {
      void this.answerFor(call, policy, () => {}).then((answer) => this.tryOut(answer, call, policy));
      return undefined;
    }
    return this.answerFor(call, policy, (withdraw) => this.waiting.set(call, withdraw)).then((answer) => {
      this.waiting.delete(call);
      return this.obey(answer, call, policy);
    });
  }

  /** The call is over, whether or not there is an answer. */
  onFinish(call: Call): void {
    if (this.waiting.size === 0) return;
    const withdraw = this.waiting.get(call);
    if (withdraw === undefined) return;
    this.waiting.delete(call);
    this.counts.abandoned++;
    withdraw();
  }

  /** Never settles for a question that was withdrawn. */
  private async answerFor(
    call: Call,
    { options, shown }: Policy,
    began: (withdraw: () => void) => void,
  ): Promise<CheckAnswer | { readonly failed: string }> {
    const { time, clock, idOf } = this.services;
    let isWanted = true;
    let stop = (): void => {};
    began(() => {
      isWanted = false;
      stop();
    });
    const messages = this.messages.value ?? (await this.messages.load());
    const question = messages.encodeQuestion(
      questionOf(call, {
        own: this.own(),
        id: idOf(call),
        time: clock.wall() - (time.now() - call.startedAt),
        context: options.context,
        shown,
      }),
    );
    const answer = await new Promise<Answer>((resolve) => {
      if (isWanted) stop = this.ask(question, call, options.timeout, resolve);
    });
    if ("failed" in answer) return answer;
    try {
      return messages.decodeAnswer(answer.message);
    } catch {
      return { failed: "the answer is no CheckResponse" };
    }
  }

  private obey(answer: Awaited<ReturnType<typeof this.answerFor>>, call: Call, { options }: Policy): Verdict {
    if ("failed" in answer) return this.failed(answer.failed, call, options);
    this.answers(options);
    if (answer.code !== Status.OK) {
      this.counts.denied++;
      call.note("external", answer.why, 0);
      return denial(answer, options.service, call, this.leftOut);
    }
    this.counts.allowed++;
    call.note("external", answer.why, 1);
    // A connection of TCP has no fields.
    if (call.protocol === "tcp") return undefined;
    const changes = requestChanges(answer.fields, answer.removed, this.leftOut);
    call.head = changeHead(this.services.headers, call.head, changes);
    if (answer.answerFields.length > 0) call.answerFields = answerChanges(answer.answerFields, this.leftOut);
    return undefined;
  }

  private failed(why: string, call: Call, options: ExternalOptions): Failure | undefined {
    this.fails(why, options);
    const isAllowed = options.onFailure === "allow";
    call.note("external", why, isAllowed ? 1 : 0, 2);
    if (isAllowed) {
      this.counts.failedAllowed++;
      return undefined;
    }
    this.counts.failedDenied++;
    const detail = `the authorization service ${options.service} does not answer`;
    return failure("AUTHZ_UNAVAILABLE", detail, { status: options.failureStatus, log: `${detail}: ${why}` });
  }

  private tryOut(answer: Awaited<ReturnType<typeof this.answerFor>>, call: Call, { options }: Policy): void {
    if ("failed" in answer) {
      this.fails(answer.failed, options);
      this.counts.shadowFailed++;
      return;
    }
    this.answers(options);
    if (answer.code === Status.OK) {
      this.counts.shadowAllowed++;
      return;
    }
    this.counts.shadowDenied++;
    const { identity, peer, path } = call;
    const what = { asked: options.service, identity, peer, path: readablePath(path), why: answer.why };
    this.tell("shadow", () => this.services.log.info(what, "external authorization in shadow: a call would be denied"));
  }

  private answers({ service }: ExternalOptions): void {
    if (this.failing !== undefined)
      this.services.log.info({ asked: service }, "the authorization service answers again");
    this.failing = undefined;
  }

  private fails(why: string, { service, onFailure }: ExternalOptions): void {
    if (this.failing === undefined)
      this.services.log.warn(
        { asked: service, why, on_failure: onFailure },
        "the authorization service does not answer",
      );
    this.failing = why;
  }

  private readonly leftOut = (name: string): void => {
    const service = this.policy?.options.service;
    this.tell(`field ${name}`, () =>
      this.services.log.warn(
        { asked: service, field: name },
        "the authorization service set a field that it may not set",
      ),
    );
  };

  /** Not more often than every 10 seconds. What there may be to tell is bounded, for a service can make up names. */
  private tell(what: string, tell: () => void): void {
    const now = this.services.time.now();
    if (now - (this.told.get(what) ?? -QUIET) < QUIET) return;
    if (this.told.size >= 100) this.told.clear();
    this.told.set(what, now);
    tell();
  }
}

/** A module that is loaded when it is first wanted, and at hand afterwards. */
class Lazy<M> {
  value: M | undefined = undefined;
  private readonly loader: () => Promise<M>;

  constructor(loader: () => Promise<M>) {
    this.loader = loader;
  }

  async load(): Promise<M> {
    this.value = await this.loader();
    return this.value;
  }
}

/** Which calls it is asked about: of what can be read in several ways any is enough, so that nobody goes round it. */
function matcherOf({ methods, metadata }: ExternalOptions["match"]): (call: Call) => boolean {
  const matchers = methods.map(matchMethod);
  const meansPath = remembered((path) =>
    pathReadings(path).some((reading) => matchers.some((means) => means(reading))),
  );
  const fields = [...metadata];
  return ({ path, head }) => meansPath(path) && fields.every(([name, value]) => hasField(head, name, value, "deny"));
}

function namesMatcher(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.includes("*")) return () => true;
  const whole = new Set(patterns.filter((pattern) => !pattern.endsWith("*")));
  const begins = patterns.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  return (name) => whole.has(name) || begins.some((begin) => name.startsWith(begin));
}

/** Asks a service whether calls may pass. */
export function askExternally(external: ExternalAuthorization): Filter {
  return {
    name: "external authorization",
    onRequest: (call) => external.onRequest(call),
    onFinish: (call) => external.onFinish(call),
  };
}
