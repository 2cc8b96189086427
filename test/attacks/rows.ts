import type { Lifted } from "../support/lifted-limits.ts";

/** What an attack may do: honest calls fail, too much memory is kept, it goes on for ever, or more of it is dealt with than may be. */
export type Damage = "standing" | "fresh" | "memory" | "neverStopped" | "tooMuch";

/** An attack, what may become of it, and how it shows that it was strong enough. */
export interface Row {
  readonly name: string;
  /** Connections at a time of each attack. */
  readonly attacks: Readonly<Record<string, number>>;
  /** Whether the inbound listener wants TLS. */
  readonly mode: "disabled" | "strict";
  /** MiB of resident memory by which the sidecar may grow meanwhile. */
  readonly memory: number;
  /** The sidecar ends the attack's connections, over and over. */
  readonly stopped: boolean;
  /** Units that the sidecar may have dealt with: so many at once, so many a second after that. */
  readonly most?: { readonly burst: number; readonly rate: number };
  /** The same attack on a sidecar without the limit: what has to become of it. */
  readonly control?: Control;
}

export interface Control {
  /** Limits of http2/limits.ts and net/listener.ts. */
  readonly lift: Lifted;
  /** Keys of `mtls.handshakes`. */
  readonly handshakes?: Readonly<Record<string, number | string>>;
  readonly damage: Damage;
  /** More connections than with the limit, where the limit is of connections. */
  readonly places?: number;
  /** Also in the short form. */
  readonly short?: boolean;
}

/** MiB that V8 and the allocator take for the garbage of whatever is read as fast as it comes. */
const GARBAGE = 150;

/** A row of one attack. */
function row(name: string, places: number, more: Partial<Row> & { readonly attack?: string } = {}): Row {
  const { attack = name, ...rest } = more;
  return { name, attacks: { [attack]: places }, mode: "disabled", memory: GARBAGE, stopped: false, ...rest };
}

/** A flood that a budget ends. */
function flood(name: string, lift: Lifted, short = false): Row {
  return row(name, 20, { stopped: true, control: { lift, damage: "neverStopped", short } });
}

const noTimeout: Control = { lift: { handshakeTimeout: "none" }, damage: "neverStopped" };
const noHandshakeLimits = { rate: 100_000, atOnce: 100_000, perSource: 100_000, timeout: "1h" };

const alone: readonly Row[] = [
  flood("rapid reset", { "budgets.resets": "none", "budgets.refused": "none" }),
  flood("CONTINUATION", { maxContinuations: "none" }),
  row("an endless header block", 20, {
    stopped: true,
    control: { lift: { maxContinuations: "none", maxHeaderListSize: "none" }, damage: "neverStopped" },
  }),
  flood("SETTINGS", { "budgets.settings": "none" }),
  flood("PING", { "budgets.pings": "none" }, true),
  flood("PRIORITY", { "budgets.priorities": "none" }),
  flood("empty DATA", { "budgets.emptyData": "none" }),
  flood("WINDOW_UPDATE", { "budgets.windowUpdates": "none" }),
  flood("GOAWAY", { "budgets.goaways": "none" }),
  flood("unknown frames", { "budgets.unknownFrames": "none" }),
  flood("malformed requests", { "budgets.streamErrors": "none" }),
  flood("streams over the limit", { "budgets.refused": "none" }),
  row("HPACK bomb", 20, {
    control: { lift: { maxHeaderListSize: "none", maxHeaderFields: "none" }, damage: "standing" },
  }),
  row("header lists at the limit", 20),
  // What ends them is the limit of the row above them but one.
  row("header lists over the limit", 20),
  row("10,000 idle connections", 10_000, {
    attack: "idle connections",
    memory: 300,
    control: { lift: { maxConnections: "none" }, damage: "memory", places: 18_000 },
  }),
  row("half-open connections", 1000, { stopped: true, control: noTimeout }),
  row("slow preface", 1000, { stopped: true, control: noTimeout }),
  row("slow headers", 500, {
    stopped: true,
    control: { lift: { frameTimeout: "none" }, damage: "neverStopped" },
  }),
  row("slow read with zero windows", 20, {
    memory: 700,
    control: { lift: { unread: "none" }, damage: "memory" },
  }),
  row("malformed frames", 20, { stopped: true }),
  row("forms of HTTP/1", 20, { stopped: true }),
  row("TLS handshakes", 200, {
    mode: "strict",
    // Of the two addresses that they come from; what was under way comes on top.
    most: { burst: 600, rate: 200 },
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "tooMuch" },
  }),
  row("open TLS handshakes", 1000, {
    mode: "strict",
    stopped: true,
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "neverStopped" },
  }),
  row("half-open connections under TLS", 1000, {
    attack: "half-open connections",
    mode: "strict",
    stopped: true,
    control: { lift: {}, handshakes: noHandshakeLimits, damage: "neverStopped", short: true },
  }),
];

/** All attacks of a mode at the same time. */
function together(mode: Row["mode"]): Row {
  const all = alone.filter((one) => one.mode === mode).flatMap(({ attacks }) => Object.entries(attacks));
  // A part of each, or the attackers would be in each other's way.
  const attacks = all.map(([name, places]): [string, number] => [name, Math.max(2, Math.round(places / 8))]);
  const name = mode === "strict" ? "all of these together" : "all together";
  return { name, attacks: Object.fromEntries(attacks), mode, memory: 800, stopped: false };
}

export const rows: readonly Row[] = [...alone, together("disabled"), together("strict")];
