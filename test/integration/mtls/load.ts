import { eventually, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import type { Mesh } from "./mesh.ts";

/** Calls that are made one after the other, four at a time, until they are stopped. */
export interface Load {
  /** Resolves once so many more have been made. */
  more(calls: number): Promise<void>;
  /** Gives what went wrong with any of them. */
  stop(): Promise<string[]>;
}

/** Begins to make calls; they stop with the scope. */
export function load(scope: Scope, made: Pick<Mesh, "call">): Load {
  let stopped = false;
  const failed: string[] = [];
  let calls = 0;
  const running = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!stopped) {
        const { error } = await made.call();
        calls++;
        if (error !== undefined) failed.push(error.message);
      }
    }),
  );
  const stop = async (): Promise<string[]> => {
    stopped = true;
    await running;
    return failed;
  };
  // A test that has failed has not stopped them.
  scope.onEnd(async () => void (await stop()));
  return {
    stop,
    more: async (wanted) => {
      const end = calls + wanted;
      await eventually(
        () => calls >= end,
        () => `${wanted} more calls`,
        30_000,
      );
    },
  };
}

/** Has callers make a new connection. */
export function turnOver(inbound: Sidecar): void {
  for (const { connection } of inbound.runtime.listeners.inbound?.acceptor.connections ?? [])
    connection.shutdown("a new connection, please");
}

/** Which certificate a sidecar shows now. */
export function fingerprint(sidecar: Sidecar): string | undefined {
  return sidecar.runtime.mtls.credentials?.own.fingerprint;
}
