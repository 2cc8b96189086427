import { type Origin, type Reason, reasons, statusName } from "../http/reason.ts";
import { Durations, type Exemplar, type Wall } from "./durations.ts";
import { formatLabels } from "./exposition.ts";
import type { MethodMeter } from "./otel/method-meter.ts";

const origins: readonly Origin[] = ["app", "proxy", "peer"];
const reasonNames: readonly string[] = ["", ...Object.keys(reasons)];
const reasonNumbers: ReadonlyMap<string | undefined, number> = new Map(
  reasonNames.map((name, number) => [name === "" ? undefined : name, number]),
);

/** The status that a number stands for which is none, as `statusName` has it. */
const UNKNOWN = 2;
const STATUSES = 17;

/** Counts of one method of one upstream. An outcome other than the usual OK takes its place when it first occurs. */
export class MethodSeries {
  private readonly labels: Readonly<Record<string, string>>;
  private readonly prefix: string;
  /** Of calls that ended with OK, and of others by their status. */
  private readonly good = new Durations();
  private bad: Map<number, Durations> | undefined = undefined;
  /** Calls that the application answered with OK. */
  private ok = 0;
  /** More of its calls, made when that is wanted. */
  meter: MethodMeter | undefined = undefined;
  /** Other outcomes by their number: status, origin and reason packed, see `outcome`. */
  private readonly others = new Map<number, number>();

  constructor(labels: Readonly<Record<string, string>>) {
    this.labels = labels;
    this.prefix = formatLabels(labels);
  }

  add(status: number, reason: Reason | undefined, origin: Origin, durationMs: number, exemplar?: Exemplar): void {
    (status === 0 ? this.good : this.of(status)).add(durationMs, exemplar);
    if (status === 0 && reason === undefined && origin === "app") {
      this.ok++;
      return;
    }
    const key = outcome(status, reason, origin);
    this.others.set(key, (this.others.get(key) ?? 0) + 1);
  }

  renderHandled(name: string): string {
    let text = this.ok === 0 ? "" : this.line(name, 0, this.ok);
    for (const [key, count] of this.others) text += this.line(name, key, count);
    return text;
  }

  renderDurations(name: string, wall: Wall | undefined): string {
    if (this.bad === undefined) return this.good.render(name, this.prefix, wall);
    const all = new Durations();
    all.include(this.good);
    for (const durations of this.bad.values()) all.include(durations);
    return all.render(name, this.prefix, wall);
  }

  /** The durations by status, under the labels that `labelsOf` has for one. */
  renderByStatus(
    name: string,
    labelsOf: (status: string) => Readonly<Record<string, string>>,
    wall: Wall | undefined,
  ): string {
    let text = this.good.isEmpty ? "" : this.good.render(name, formatLabels(labelsOf(statusName(0))), wall);
    for (const [status, durations] of this.bad ?? [])
      text += durations.render(name, formatLabels(labelsOf(statusName(status))), wall);
    return text;
  }

  private of(status: number): Durations {
    const number = known(status);
    this.bad ??= new Map();
    let durations = this.bad.get(number);
    if (durations === undefined) {
      durations = new Durations();
      this.bad.set(number, durations);
    }
    return durations;
  }

  get method(): string {
    return this.labels.method ?? "";
  }

  /** What its calls speak, by the labels that calls of others than gRPC have. */
  get protocol(): "grpc" | "http1" | "tcp" {
    return /^HTTP\/([A-Z]+|other)$/.test(this.method) ? "http1" : this.method === "TCP/connection" ? "tcp" : "grpc";
  }

  private line(name: string, key: number, count: number): string {
    const reason = reasonNames[key % reasonNames.length] ?? "";
    const rest = Math.floor(key / reasonNames.length);
    const origin = origins[rest % origins.length] ?? "";
    const grpc_status = statusName(Math.floor(rest / origins.length));
    return `${name}{${formatLabels({ ...this.labels, grpc_status, reason, origin })}} ${count}\n`;
  }
}

function known(status: number): number {
  return Number.isInteger(status) && status >= 0 && status < STATUSES ? status : UNKNOWN;
}

function outcome(status: number, reason: Reason | undefined, origin: Origin): number {
  return (
    (known(status) * origins.length + origins.indexOf(origin)) * reasonNames.length + (reasonNumbers.get(reason) ?? 0)
  );
}
