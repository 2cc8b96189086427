import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../../core/clock.ts";
import type { Authorization } from "../../filters/authorization.ts";
import type { Faults } from "../../filters/faults.ts";
import type { HopelessCalls } from "../../filters/hopeless.ts";
import type { CircuitBreaker } from "../../proxy/circuit-breaker.ts";
import type { Mirror } from "../../proxy/mirror.ts";
import type { PolicyState, UpstreamPolicies } from "./policies.ts";

/** Registers what the policies of upstreams have done, filled when somebody asks. */
export function registerPolicyMetrics(registry: Registry, policies: () => UpstreamPolicies, clock: Clock): void {
  const registers = [registry];
  registerBreakers(registers, policies);
  registerLimits(registers, policies);
  registerAdmission(registers, policies, clock);
  const retrying = function* (): IterableIterator<PolicyState> {
    for (const state of policies().all()) if (state.retry !== undefined) yield state;
  };
  new Counter({
    name: "outrigger_retries_total",
    help: "Further attempts that a retry policy made: after a failure, or beside an attempt without an answer (hedge).",
    labelNames: ["upstream", "kind"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries } of retrying()) {
        this.inc({ upstream, kind: "retry" }, retries.counts.retries);
        this.inc({ upstream, kind: "hedge" }, retries.counts.hedges);
      }
    },
  });
  new Counter({
    name: "outrigger_retries_refused_total",
    help: "Calls that were not made again though their status asks for it, by what spoke against it.",
    labelNames: ["upstream", "why"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries } of retrying())
        for (const [why, count] of Object.entries(retries.counts.refused)) this.inc({ upstream, why }, count);
    },
  });
  new Gauge({
    name: "outrigger_retry_budget",
    help: "Further attempts of the last 10 seconds, and how many there may be.",
    labelNames: ["upstream", "value"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, retries, retry } of retrying()) {
        const { used, allowed } = retries.budget.state(retry?.options.budget ?? 0, clock.now());
        this.set({ upstream, value: "used" }, used);
        this.set({ upstream, value: "allowed" }, allowed);
      }
    },
  });
}

/** What a state of a breaker is as a number. */
const STATES = { closed: 0, halfOpen: 1, open: 2 } as const;

function registerBreakers(registers: Registry[], policies: () => UpstreamPolicies): void {
  const labelNames = ["upstream", "method"] as const;
  const each = function* (): IterableIterator<[{ upstream: string; method: string }, CircuitBreaker]> {
    for (const { upstream, breakers } of policies().all())
      for (const [path, breaker] of breakers?.all() ?? [])
        yield [{ upstream, method: path.replace(/^\//, "") }, breaker];
  };
  new Gauge({
    name: "outrigger_circuit_breaker_state",
    help: "0: closed, 1: half open, 2: open. method is empty where one breaker is for all.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [labels, { state }] of each()) this.set(labels, STATES[state]);
    },
  });
  new Counter({
    name: "outrigger_circuit_breaker_opened_total",
    help: "How often a circuit breaker has opened.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [labels, { opened }] of each()) this.inc(labels, opened);
    },
  });
  new Counter({
    name: "outrigger_circuit_breaker_refused_total",
    help: "Attempts that an open circuit breaker did not let through.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [labels, { refused }] of each()) this.inc(labels, refused);
    },
  });
}

function registerLimits(registers: Registry[], policies: () => UpstreamPolicies): void {
  const labelNames = ["upstream", "limit"] as const;
  new Gauge({
    name: "outrigger_limit",
    help: "Hard limits of upstreams as configured.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { upstream, calls, config } of policies().all()) {
        if (config.limits?.maxConnections !== undefined)
          this.set({ upstream, limit: "maxConnections" }, config.limits.maxConnections);
        if (calls === undefined) continue;
        this.set({ upstream, limit: "maxConcurrent" }, calls.options.maxConcurrent);
        this.set({ upstream, limit: "maxQueue" }, calls.options.maxQueue);
      }
    },
  });
  new Gauge({
    name: "outrigger_limit_current",
    help: "How much of a hard limit is in use.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { upstream, calls } of policies().all()) {
        if (calls === undefined) continue;
        this.set({ upstream, limit: "maxConcurrent" }, calls.current);
        this.set({ upstream, limit: "maxQueue" }, calls.waiting);
      }
    },
  });
}

function registerAdmission(registers: Registry[], policies: () => UpstreamPolicies, clock: Clock): void {
  new Gauge({
    name: "outrigger_admission_refused_share",
    help: "The share of an upstream's calls that admission control refuses now.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, admission } of policies().all())
        if (admission !== undefined) this.set({ upstream }, admission.state(clock.now()).refusing);
    },
  });
  new Counter({
    name: "outrigger_admission_refused_total",
    help: "Calls that admission control has refused.",
    labelNames: ["upstream"],
    registers,
    collect() {
      this.reset();
      for (const { upstream, admission } of policies().all())
        if (admission !== undefined) this.inc({ upstream }, admission.refused);
    },
  });
}

/** Registers who was let in, and who was not. */
export function registerAuthorizationMetrics(registry: Registry, authorization: Authorization): void {
  new Counter({
    name: "outrigger_authorization_decisions_total",
    help: "Inbound calls by the rule, or the default, that decided: allowed or denied; shadowAllowed or shadowDenied where that was only tried.",
    labelNames: ["rule", "result"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [rule, counts] of authorization.all())
        for (const [result, count] of Object.entries(counts)) this.inc({ rule, result }, count);
    },
  });
}

/** Registers what has been done to calls on purpose. */
export function registerFaultMetrics(
  registry: Registry,
  { faults, hopeless }: { readonly faults: Faults; readonly hopeless: HopelessCalls },
): void {
  new Counter({
    name: "outrigger_faults_injected_total",
    help: "Calls that a fault of the configuration delayed, or ended.",
    labelNames: ["fault", "direction", "kind"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { options, delayed, aborted } of faults.all()) {
        const { name: fault, direction } = options;
        if (options.delay !== undefined) this.inc({ fault, direction, kind: "delay" }, delayed);
        if (options.abort !== undefined) this.inc({ fault, direction, kind: "abort" }, aborted);
      }
    },
  });
  new Counter({
    name: "outrigger_hopeless_calls_total",
    help: "Calls that were refused because they could not have been answered before their deadline.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(hopeless.refused);
    },
  });
}

/** Registers what mirrors have done. */
export function registerMirrorMetrics(registry: Registry, mirrors: () => Iterable<Mirror>): void {
  new Counter({
    name: "outrigger_mirrored_calls_total",
    help: "Calls of a route that were to be copied: mirrored, dropped (too far behind), failed, or skipped (too many at once).",
    labelNames: ["route", "result"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: route, counts } of mirrors())
        for (const [result, count] of Object.entries(counts)) this.inc({ route, result }, count);
    },
  });
  new Counter({
    name: "outrigger_mirror_comparisons_total",
    help: "Answers that a mirror compared: same, what they differ in (status, length, messages, metadata), or incomplete.",
    labelNames: ["route", "result"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: route, options, compared } of mirrors()) {
        if (options.compare === "none") continue;
        for (const [result, count] of Object.entries(compared)) this.inc({ route, result }, count);
      }
    },
  });
}
