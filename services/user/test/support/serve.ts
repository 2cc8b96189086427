import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Client, credentials, logVerbosity, type ServiceError, setLogVerbosity, type status } from "@grpc/grpc-js";
import { Health } from "../../api/gen/grpc/health/v1/health_pb.ts";
import { UserService } from "../../api/gen/user_pb.ts";
import { clientOf, type ServiceClient } from "../../internal/grpc-client.ts";
import { createUserServer, type UserServer, type UserServerOptions } from "../../internal/server.ts";
import { SqliteUserRepository } from "../../repository/sqlite.ts";
import type { UserRepository } from "../../repository/user.ts";
import { type RecordedLog, recordedLog } from "./log.ts";

// grpc-js writes what it also throws to standard error.
setLogVerbosity(logVerbosity.NONE);

export interface Served {
  readonly address: string;
  readonly server: UserServer;
  readonly channel: Client;
  readonly users: ServiceClient<typeof UserService>;
  readonly health: ServiceClient<typeof Health>;
  readonly lines: RecordedLog["lines"];
}

/** A server in this process and a client of it, over a real socket; both end with the test. */
export async function serve(
  t: TestContext,
  options: Partial<UserServerOptions> & { readonly repository?: UserRepository } = {},
): Promise<Served> {
  const { log, lines } = recordedLog();
  const repository = options.repository ?? new SqliteUserRepository(":memory:");
  const server = createUserServer({
    log,
    instance: "replica-1",
    maxMessageBytes: -1,
    maxConcurrentStreams: undefined,
    ...options,
    repository,
  });
  const address = `127.0.0.1:${await server.listen("127.0.0.1:0")}`;
  const channel = new Client(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  t.after(async () => {
    channel.close();
    await server.stop(0);
    await repository.close();
  });
  return { address, server, channel, users: clientOf(UserService, channel), health: clientOf(Health, channel), lines };
}

/** The error with which a call fails; fails itself where the call does not, or with another code. */
export async function failureOf(call: Promise<unknown>, code: status): Promise<ServiceError> {
  const error = await call.then(
    () => assert.fail("the call succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(isServiceError(error), String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

/** All items of a stream. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** A source of requests that sends what a test pushes, until the test ends it. */
export class Requests<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #ended = false;
  #wake = () => {};

  push(...items: T[]): void {
    this.#items.push(...items);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** Waits, at most two seconds, until something is so. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (!holds()) {
    if (performance.now() > deadline) assert.fail(`not within 2 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
