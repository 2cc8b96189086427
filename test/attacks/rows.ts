import type { Lifted } from "../support/lifted-limits.ts";

/**
 * What an attack may do: honest calls fail, too much memory is kept, it goes on for ever, more of it is dealt with than may be, the
 * application sees requests that it may never see, or the sidecar comes down.
 */
export type Damage = "standing" | "fresh" | "memory" | "neverStopped" | "tooMuch" | "reached" | "died";

/** An attack, what may become of it, and how it shows that it was strong enough. */
export interface Row {
  readonly name: string;
  /** Connections at a time of each attack. */
  readonly attacks: Readonly<Record<string, number>>;
  /** What the inbound listener speaks: HTTP/2 in plaintext (disabled) or over mTLS, or HTTP/1.1 with a service of that. */
  readonly mode: "disabled" | "strict" | "http1";
  /** MiB of resident memory by which the sidecar may grow meanwhile. */
  readonly memory: number;
  /** The sidecar ends the attack's connections, over and over: each of them, or some. */
  readonly stopped: "each" | "some" | "none";
  /** Handshakes that the sidecar may have dealt with: of so many addresses, or as many as all addresses together may ask for. */
  readonly handshakesOf?: number | "all";
  /** The same attack on a sidecar without the limit: what has to become of it. */
  readonly control?: Control;
}

export interface Control {
  /** Limits of http2/limits.ts, net/listener.ts and net/connection-budget.ts. */
  readonly lift: Lifted;
  /** Files that the sidecar may have open, where the machine would let it have more. */
  readonly openFiles?: number | undefined;
  /** Keys of `mtls.handshakes`. */
  readonly handshakes?: Readonly<Record<string, number | string>>;
  /** One of these at least. */
  readonly damage: Damage | readonly Damage[];
  /** What takes the place of the attacks, where it takes more to show what the limit is good for. */
  readonly attacks?: Row["attacks"];
  /** What it does in the short form, if it is part of that. */
  readonly short?: Damage | readonly Damage[];
}

/**
 * MiB that V8 and the allocator take for the garbage of whatever is read as fast as it comes: seen were 170, of 7 million frames a second,
 * and nothing of it was left after a full collection.
 */
const GARBAGE = 250;

/** A row of one attack. */
function row(name: string, places: number, more: Partial<Row> & { readonly attack?: string } = {}): Row {
  const { attack = name, ...rest } = more;
  return { name, attacks: { [attack]: places }, mode: "disabled", memory: GARBAGE, stopped: "none", ...rest };
}

/** A flood that a budget ends. */
function flood(name: string, lift: Lifted, short?: Damage): Row {
  const control: Control = { lift, damage: "neverStopped", ...(short === undefined ? {} : { short }) };
  return row(name, 20, { stopped: "each", control });
}

const noTimeout: Control = { lift: { handshakeTimeout: "none" }, damage: "neverStopped" };
const noHandshakeLimits = { rate: 100_000, strangers: 100_000, atOnce: 100_000, perSource: 100_000, timeout: "1h" };

const alone: readonly Row[] = [
  flood("rapid reset", { "budgets.resets": "none", "budgets.refused": "none" }),
  flood("CONTINUATION", { maxContinuations: "none" }),
  row("an endless header block", 20, {
    stopped: "each",
    control: { lift: { maxContinuations: "none", maxHeaderListSize: "none" }, damage: "neverStopped" },
  }),
  flood("SETTINGS", { "budgets.settings": "none" }),
  flood("PING", { "budgets.pings": "none" }, "neverStopped"),
  flood("PRIORITY", { "budgets.priorities": "none" }),
  flood("empty DATA", { "budgets.emptyData": "none" }),
  flood("WINDOW_UPDATE", { "budgets.windowUpdates": "none" }),
  flood("GOAWAY", { "budgets.goaways": "none" }),
  flood("unknown frames", { "budgets.unknownFrames": "none" }),
  flood("malformed requests", { "budgets.streamErrors": "none" }),
  flood("streams over the limit", { "budgets.refused": "none" }),
  row("HPACK bomb", 20, {
    control: {
      lift: { maxHeaderListSize: "none", maxHeaderFields: "none" },
      // What does not reach the application has stopped the sidecar on its way there.
      damage: ["standing", "reached"],
      short: ["standing", "reached"],
    },
  }),
  row("header lists at the limit", 20, {
    // What is at the limit is lawful. How much it matters where the limit lies is seen by lists at one of 2 MiB.
    control: {
      lift: { maxHeaderListSize: "none", maxContinuations: "none" },
      attacks: { "header lists of 2 MiB": 20 },
      damage: "reached",
    },
  }),
  row("header lists over the limit", 20, {
    control: { lift: { maxHeaderListSize: "none" }, damage: "reached", short: "reached" },
  }),
  row("10,000 idle connections", 10_000, {
    attack: "idle connections",
    // What they take at rest, see net/listener.ts, and the garbage of those that are made and ended meanwhile: 64,000 in one run, of which a
    // full collection left nothing.
    memory: 200 + 2 * GARBAGE,
    // What is the limit good for? Whoever comes finds no open file left.
    control: { lift: { maxConnections: "none", openFilesShare: "none" }, openFiles: 10_000, damage: "fresh" },
  }),
  row("half-open connections", 1000, { stopped: "each", control: noTimeout }),
  row("slow preface", 1000, { stopped: "each", control: noTimeout }),
  row("slow headers", 500, {
    stopped: "each",
    control: { lift: { frameTimeout: "none" }, damage: "neverStopped" },
  }),
  row("slow read with zero windows", 20, {
    memory: 700,
    stopped: "some",
    control: { lift: { unread: "none" }, damage: "memory", short: "neverStopped" },
  }),
  row("malformed frames", 20, { stopped: "each" }),
  row("forms of HTTP/1", 20, { stopped: "each" }),
  row("TLS handshakes", 200, {
    mode: "strict",
    handshakesOf: 2,
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "tooMuch" },
  }),
  row("TLS handshakes from many addresses", 200, {
    mode: "strict",
    handshakesOf: "all",
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "tooMuch", short: "tooMuch" },
  }),
  row("open TLS handshakes", 1000, {
    mode: "strict",
    stopped: "each",
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "neverStopped" },
  }),
  row("half-open connections under TLS", 1000, {
    attack: "half-open connections",
    mode: "strict",
    stopped: "each",
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "neverStopped", short: "neverStopped" },
  }),
];

// No number bounds a form that two could read differently, so there is none to lift: the parser is strict or is not. A head has 90 s
// and a body as long as its application waits: what they may do is bounded by `maxConnections` and by what a connection takes.
const overHttp1: readonly Row[] = [
  row("smuggling over HTTP/1.1", 20, { mode: "http1", stopped: "each" }),
  row("slow heads over HTTP/1.1", 1000, { mode: "http1" }),
  row("slow bodies over HTTP/1.1", 1000, { mode: "http1", memory: 300 }),
];

/** All attacks of a mode at the same time. */
function together(mode: Row["mode"]): Row {
  const all = [...alone, ...overHttp1]
    .filter((one) => one.mode === mode)
    .flatMap(({ attacks }) => Object.entries(attacks));
  // A part of each, or the attackers would be in each other's way.
  const attacks = all.map(([name, places]): [string, number] => [name, Math.max(2, Math.round(places / 8))]);
  const name = { disabled: "all together", strict: "all of these together", http1: "all over HTTP/1.1 together" }[mode];
  return { name, attacks: Object.fromEntries(attacks), mode, memory: 800, stopped: "none" };
}

export const rows: readonly Row[] = [
  ...alone,
  ...overHttp1,
  together("disabled"),
  together("strict"),
  together("http1"),
];
