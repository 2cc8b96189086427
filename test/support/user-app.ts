// The user service in a process of its own, as `services/user/main.ts` runs it, with a store that can be told to fail and that
// writes down every user whom it is asked to create, before it does anything else: so nothing is lost when it is killed. Run as
// `node user-app.ts OPTIONS`; it prints `user-app ADDRESS CONTROL`. `POST CONTROL/FAULT` has it do so from now on. It ends on
// SIGTERM in good order.
import { once } from "node:events";
import { openSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { setLogger } from "@grpc/grpc-js";
import { pino } from "pino";
import { createUserServer } from "../../services/user/internal/server.ts";
import { SqliteUserRepository } from "../../services/user/repository/sqlite.ts";
import { StoreError } from "../../services/user/repository/store-error.ts";
import type { UserRepository } from "../../services/user/repository/user.ts";
import { seededRandom } from "./random.ts";

/** What the application does to calls: answers 2 s late, half of them with UNAVAILABLE, or never. */
export type AppFault = "none" | "slow" | "erroring" | "mute";

export interface UserAppOptions {
  readonly instance: string;
  /** A line `executed ID` for each creation is appended to it. */
  readonly file: string;
  /** The id of a user who is there from the start. */
  readonly known: string;
  readonly seed: number;
  /** Milliseconds after which it sends its callers to another connection. */
  readonly maxConnectionAgeMs?: number;
}

/** Milliseconds. */
const SLOW = 2000;

const options: UserAppOptions = JSON.parse(process.argv[2] ?? "{}");
const log = openSync(options.file, "a");
const random = seededRandom(options.seed);
let fault: AppFault = "none";

async function suffer(signal: AbortSignal): Promise<void> {
  switch (fault) {
    case "none":
      return;
    case "slow":
      await sleep(SLOW, undefined, { signal });
      return;
    case "erroring":
      if (random() < 0.5) throw new StoreError("unavailable", "a fault that was asked for");
      return;
    case "mute":
      await once(signal, "abort");
      throw signal.reason;
  }
}

// Each replica has users of its own. With one store for all a replica that stands still may hold its lock, which no sidecar mends.
const store = new SqliteUserRepository(":memory:");
const { known: id } = options;
await store.insert(
  [{ id, email: `${id}@example.com`, displayName: id, picture: new Uint8Array(0) }],
  new Date(),
  AbortSignal.timeout(10_000),
);
const get: UserRepository["get"] = async (user, signal) => {
  await suffer(signal);
  return await store.get(user, signal);
};
const insert: UserRepository["insert"] = async (records, at, signal) => {
  for (const record of records) writeSync(log, `executed ${record.id}\n`);
  await suffer(signal);
  return await store.insert(records, at, signal);
};
const repository = new Proxy<UserRepository>(store, {
  get(target, name) {
    if (name === "get") return get;
    if (name === "insert") return insert;
    const value: unknown = Reflect.get(target, name);
    return typeof value === "function" ? value.bind(target) : value;
  },
});

setLogger({ error() {} });
const server = createUserServer({
  repository,
  log: pino({ level: "silent" }),
  instance: options.instance,
  maxMessageBytes: -1,
  maxConcurrentStreams: undefined,
  maxConnectionAgeMs: options.maxConnectionAgeMs,
});
const port = await server.listen("127.0.0.1:0");
const control = createServer((request, response) => {
  fault = request.url?.slice(1) as AppFault;
  response.end();
}).listen(0, "127.0.0.1");
await once(control, "listening");
process.on("SIGTERM", () => void server.stop(10_000).then(() => process.exit(0)));
process.stdout.write(`user-app 127.0.0.1:${port} 127.0.0.1:${(control.address() as AddressInfo).port}\n`);
