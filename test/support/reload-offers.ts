import { symlinkSync } from "node:fs";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

type Json = Readonly<Record<string, unknown>>;

/** A configuration file that is offered to a sidecar while it runs. */
export interface Offer {
  readonly text: string;
  /** What is said of it where it is refused; undefined where it has to be taken. */
  readonly refusal: RegExp | undefined;
  readonly name: string;
}

/** What of the configuration a test cannot do without. */
export interface Fixed {
  readonly base: Json;
  /** Upstreams that stay, whatever is said of them. */
  readonly upstreams: Readonly<Record<string, Json>>;
  /** An address for a listener that comes and goes. */
  readonly listen: string;
  /** An address that somebody else listens at. */
  readonly taken: string;
}

const retry = { attempts: 2, statuses: ["unavailable"], idempotentMethods: ["test.v1.Counter/Hold"] };
/** A limit that nobody reaches. */
const plenty = { name: "plenty", direction: "outbound", limit: "100000/s", burst: 100_000 };

/** Takes one at random. */
function pick<T>(random: () => number, ...of: readonly [T, ...T[]]): T {
  return of[Math.floor(random() * of.length)] ?? of[0];
}

/** A configuration that is good, and other than every one before: `serial` is in it. */
export function goodOffer(fixed: Fixed, random: () => number, serial: number): Offer {
  const { base, listen } = fixed;
  const upstreams: Record<string, Json> = {};
  for (const [name, always] of Object.entries(fixed.upstreams)) {
    // An upstream that may be looked up needs no entry.
    if (Object.keys(always).length === 0 && random() < 0.2) continue;
    upstreams[name] = {
      ...always,
      balancer: pick(random, "leastRequest", "roundRobin", "peakEwma", "random", "ringHash", "maglev"),
      ...(random() < 0.3 ? { retry } : {}),
      ...(random() < 0.3 ? { adaptiveConcurrency: { initial: 1000, min: 900, max: 1000 } } : {}),
      ...(random() < 0.5 ? { timeout: `${20 + Math.floor(random() * 20)}s` } : {}),
      ...(random() < 0.3 ? { hosts: [`${name}.internal`] } : {}),
    };
  }
  const nowhere = { discovery: "static", endpoints: ["127.0.0.1:1"] };
  if (random() < 0.5) upstreams.spare = nowhere;
  if (random() < 0.3) upstreams.listening = { ...nowhere, listen };
  const whole = {
    ...base,
    upstreams,
    ...(random() < 0.3 ? { rateLimits: [plenty] } : {}),
    log: { level: pick(random, "info", "debug"), access: "errors" },
    drain: { notice: `${1000 + serial}ms`, grace: "5s" },
    names: { onDemand: { idle: pick(random, "10m", "20m"), rate: pick(random, "100/s", "200/s") } },
  };
  return { name: "good", text: JSON.stringify(whole, undefined, 2), refusal: undefined };
}

/** Each makes something wrong of a good text; `mark` is in what is said of it where that can be. */
const breakers: readonly [name: string, make: (good: Json, mark: string, taken: string) => string, refusal: RegExp][] =
  [
    ["unknown key", (good, mark) => JSON.stringify({ ...good, [mark]: 1 }), /unknown key "broken/],
    ["bad value", (good) => JSON.stringify({ ...good, log: { level: "loud" } }), /log\.level|level/],
    ["cut off", (good) => JSON.stringify(good, undefined, 2).slice(0, -20), /./],
    ["no YAML", (_good, mark) => `{ ${mark}: [`, /./],
    ["an empty document", (_good, mark) => `# ${mark}\n`, /cannot change while running/],
    [
      "a listener that cannot change",
      (good) => JSON.stringify({ ...good, listeners: { ...Object(good.listeners), outbound: "127.0.0.1:2" } }),
      /listeners\.outbound.*cannot change while running/,
    ],
    [
      "a listener that cannot be bound",
      (good, _mark, taken) =>
        JSON.stringify({
          ...good,
          upstreams: {
            ...Object(good.upstreams),
            blocked: { discovery: "static", endpoints: ["127.0.0.1:1"], listen: taken },
          },
        }),
      /in use/,
    ],
  ];

/** A configuration that has to be refused whole. */
export function brokenOffer(fixed: Fixed, random: () => number, serial: number): Offer {
  const good: Json = JSON.parse(goodOffer(fixed, random, serial).text);
  const [name, make, refusal] = pick(random, ...(breakers as [(typeof breakers)[number]]));
  return { name, text: make(good, `broken${serial}`, fixed.taken), refusal };
}

/** The ways in which a file comes to say something else. */
export const ways = ["in place", "rename", "link"] as const;

/** A configuration file in a folder as Kubernetes mounts a ConfigMap: a link to a link to a folder of files. */
export class OfferedFile {
  /** What the sidecar is given. */
  readonly path: string;
  private readonly folder: string;
  private serial = 0;

  private constructor(folder: string) {
    this.folder = folder;
    this.path = join(folder, "outrigger.yaml");
  }

  static async write(folder: string, text: string): Promise<OfferedFile> {
    const file = new OfferedFile(folder);
    await file.swap(text);
    symlinkSync(join("..data", "outrigger.yaml"), file.path);
    return file;
  }

  /** Makes the file say `text`. */
  async offer(text: string, way: (typeof ways)[number]): Promise<void> {
    if (way === "link") return await this.swap(text);
    const file = join(this.folder, `..${this.serial}`, "outrigger.yaml");
    if (way === "in place") return await writeFile(file, text);
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  }

  /** A new folder, and the link to it replaced in one step. */
  private async swap(text: string): Promise<void> {
    const old = this.serial++;
    const file = join(this.folder, `..${this.serial}`, "outrigger.yaml");
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    await symlink(`..${this.serial}`, join(this.folder, "..data.new"));
    await rename(join(this.folder, "..data.new"), join(this.folder, "..data"));
    await rm(join(this.folder, `..${old}`), { recursive: true, force: true });
  }
}
