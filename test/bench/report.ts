import type { Bar } from "./bars.ts";
import { type Case, sizeName } from "./cases.ts";
import type { Environment } from "./environment.ts";
import { findPeer, type MeasuredPeer, type Measurement, type ProcessFigures } from "./measurement.ts";
import { type SelfTime, sharesByKind } from "./profile.ts";
import { cpuPerCall, cpuPerGiB, type Sample, throughput } from "./sample.ts";
import { spread } from "./statistics.ts";
import { table } from "./table.ts";

/** A whole run, as it is reported and written as JSON. */
export interface BenchRun {
  readonly environment: Environment;
  readonly rounds: number;
  readonly seconds: number;
  readonly measurement: Measurement;
  readonly bars: readonly Bar[];
  /** Of the cases whose bar was missed, by case id. */
  readonly profiles: ReadonlyMap<string, readonly SelfTime[]>;
}

const PROFILE_ROWS = 12;

/** The run as Markdown. */
export function renderReport(run: BenchRun): string {
  const { peers, cases } = run.measurement;
  const kinds = (kind: Case["kind"]) => cases.filter((load) => load.kind === kind);
  const sections = [
    "# Bench",
    introduction(run),
    section("Bars", barsTable(run.bars)),
    section("Outrigger's CPU as a share of Envoy's, where there is no bar", withoutBar(run.measurement)),
    section(
      "CPU of the proxy, µs a call",
      caseTable(kinds("closed"), peers, (samples) => figures(samples, cpuPerCall)),
    ),
    section(
      "Calls a second",
      caseTable(kinds("closed"), peers, (samples) => figures(samples, (sample) => sample.callsPerSecond, 0)),
    ),
    section("Latency in the closed loop, µs: p50 / p99 (h2load: mean)", caseTable(kinds("closed"), peers, latency)),
    section(
      "At a fixed rate: CPU µs a call; p50 / p99 from the moment a call was due, µs",
      caseTable(kinds("rate"), peers, (samples) =>
        [figures(samples, cpuPerCall), latency(samples)].filter(Boolean).join("; "),
      ),
    ),
    section(
      "One large answer: MB/s; CPU seconds a GiB",
      caseTable(kinds("download"), peers, (samples) =>
        [figures(samples, throughput, 0), figures(samples, cpuPerGiB, 2)].filter(Boolean).join("; "),
      ),
    ),
    section("Processes", processTable(peers)),
    ...failures(run.measurement),
    ...profiles(run.profiles),
  ];
  return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
}

function introduction({ environment, rounds, seconds, measurement }: BenchRun): string {
  const download = measurement.cases.find((load) => load.kind === "download");
  return [
    `${environment.date}, commit ${environment.commit}. ${environment.cores} x ${environment.processor}, ${environment.memoryGB} GB, ` +
      `Linux ${environment.kernel}, ${(environment.busyBefore * 100).toFixed(0)} % busy before the start. ${environment.go}, h2load ${environment.h2load}.`,
    "",
    ...measurement.peers.map(({ name, description }) => `- ${name}: ${description}`),
    "",
    `Medians of ${rounds} rounds of ${seconds} s a case (least-greatest). The proxy is pinned to one processor; generator and upstream (grpc-go, echo) share`,
    "another; loopback, plaintext. In a round every case runs on each peer in turn, and the order rotates. A case is named by the generator, its",
    "metadata, the size of a message, and connections x calls in flight on each. loadgen writes each call by itself; its trace context, request",
    "id and timeout are the same in each call (repeated) or unique (varying). h2load batches. CPU is user and system time of the whole process.",
    "Before the first case each proxy carries four seconds of calls that do not count, for none is in use for its first seconds only.",
    "Every answer of loadgen is checked byte by byte; of h2load's, the HTTP status, their number of bytes, and one sample in full.",
    ...(download ? [`The large answer has ${sizeName(download.size)}.`] : []),
  ].join("\n");
}

function section(title: string, body: string): string {
  return body === "" ? "" : `## ${title}\n\n${body}`;
}

function barsTable(bars: readonly Bar[]): string {
  if (bars.length === 0) return "";
  const rows = bars.map((bar) => [
    bar.name,
    number(bar.outrigger, 1),
    number(bar.reference, 1),
    ratio(bar),
    String(bar.limit),
    bar.met ? "met" : "**MISSED**",
  ]);
  return table(["bar", "Outrigger", "Envoy or limit", "ratio (of each round)", "at most", ""], rows);
}

function ratio({ ratio, ratios }: Bar): string {
  const range = ratios.min === ratios.max ? "" : ` (${number(ratios.min, 2)}-${number(ratios.max, 2)})`;
  return number(ratio, 2) + range;
}

/** Neither a fixed rate, where the kernel's wake-ups cost most, nor a download has a bar; their ratios are told all the same. */
function withoutBar(measurement: Measurement): string {
  const [own, envoy] = [findPeer(measurement, "outrigger"), findPeer(measurement, "envoy")];
  if (!own || !envoy) return "";
  const lines = measurement.cases
    .filter(({ kind }) => kind !== "closed")
    .flatMap(({ id }) => {
      const [ours, theirs] = [own, envoy].map(({ samples }) => median(samples.get(id) ?? [], cpuPerCall));
      return ours === undefined || theirs === undefined ? [] : [`- ${id}: ${number(ours / theirs, 2)}`];
    });
  return lines.join("\n");
}

function caseTable(
  cases: readonly Case[],
  peers: readonly MeasuredPeer[],
  cell: (samples: readonly Sample[]) => string,
): string {
  if (cases.length === 0) return "";
  const cells = (load: Case) => peers.map((peer) => cell(peer.samples.get(load.id) ?? []));
  return table(
    ["case", ...peers.map(({ name }) => name)],
    cases.map((load) => [load.id, ...cells(load)]),
  );
}

function processTable(peers: readonly MeasuredPeer[]): string {
  const rows = peers
    .filter(({ processes }) => processes.length > 0)
    .map(({ name, processes }) => {
      const cell = (figure: (process: ProcessFigures) => number, digits: number) => figures(processes, figure, digits);
      return [
        name,
        cell(({ idleMB }) => idleMB, 0),
        cell(({ afterMB }) => afterMB, 0),
        cell(({ readyMs }) => readyMs, 0),
      ];
    });
  if (rows.length === 0) return "";
  return table(["peer", "resident memory idle, MB", "after all cases, MB", "start to first answer, ms"], rows);
}

function failures({ peers }: Measurement): string[] {
  const lines = peers.flatMap(({ name, samples }) =>
    [...samples].flatMap(([id, rounds]) =>
      rounds.flatMap((sample) =>
        Object.entries(sample.failures).map(([kind, count]) => `- ${name}, ${id}: ${count} x ${kind}`),
      ),
    ),
  );
  return lines.length === 0 ? [] : [section("Calls that were not answered as they had to be", lines.join("\n"))];
}

function profiles(all: BenchRun["profiles"]): string[] {
  return [...all].map(([id, functions]) => {
    const rows = functions.slice(0, PROFILE_ROWS).map(({ name, share }) => [name, percent(share)]);
    const kinds = sharesByKind(functions).map(({ kind, share }) => `${kind} ${percent(share)}`);
    const body = `${kinds.join(", ")}.\n\n${table(["function", "share"], rows)}`;
    return section(`Profile of Outrigger, ${id} (self time)`, body);
  });
}

function latency(samples: readonly Sample[]): string {
  const p50 = median(samples, ({ p50Us }) => p50Us);
  const p99 = median(samples, ({ p99Us }) => p99Us);
  const mean = median(samples, ({ meanUs }) => meanUs);
  if (p50 !== undefined && p99 !== undefined) return `${number(p50, 0)} / ${number(p99, 0)}`;
  return mean === undefined ? "" : number(mean, 0);
}

function median(samples: readonly Sample[], figure: (sample: Sample) => number | undefined): number | undefined {
  return spread(samples.map(figure).filter((value) => value !== undefined))?.median;
}

/** "12.3 (11.0-14.1)"; "" of none. */
function figures<T>(samples: readonly T[], figure: (sample: T) => number | undefined, digits = 1): string {
  const over = spread(samples.map(figure).filter((value) => value !== undefined));
  if (!over) return "";
  const middle = number(over.median, digits);
  return samples.length === 1 ? middle : `${middle} (${number(over.min, digits)}-${number(over.max, digits)})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function number(value: number, digits: number): string {
  return value.toFixed(digits);
}
