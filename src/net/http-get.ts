import type { Clock } from "../core/clock.ts";

/** Bounds of a request, and whom it trusts. */
export interface GetOptions {
  /** Milliseconds for the whole answer. */
  readonly timeout: number;
  /** Octets of it. */
  readonly limit: number;
  /** PEM of the authorities of an https URL; undefined: those that Node knows. */
  readonly ca: string | undefined;
  readonly signal: AbortSignal;
}

/** The text of a URL. Rejects where it is not answered with 200 in time and within the limit; redirections are not followed. */
export async function httpGet(url: string, clock: Clock, options: GetOptions): Promise<string> {
  const { timeout, limit, ca, signal } = options;
  const { request } = url.startsWith("https:") ? await import("node:https") : await import("node:http");
  return await new Promise((resolve, reject) => {
    const more = ca === undefined ? {} : { ca };
    const asked = request(
      url,
      { agent: false, signal, headers: { accept: "application/json" }, ...more },
      (response) => {
        if (response.statusCode !== 200) {
          asked.destroy(new Error(`it answers with ${response.statusCode}`));
          return;
        }
        const parts: Buffer[] = [];
        let octets = 0;
        response.on("data", (part: Buffer) => {
          octets += part.length;
          parts.push(part);
          if (octets > limit) asked.destroy(new Error(`its answer is longer than ${limit} octets`));
        });
        response.on("end", () => end(() => resolve(Buffer.concat(parts).toString("utf8"))));
        response.on("error", (error) => end(() => reject(error)));
        response.on("close", () => end(() => reject(new Error("its answer ended too early"))));
      },
    );
    const timer = clock.setTimer(timeout, () => asked.destroy(new Error(`it does not answer within ${timeout} ms`)));
    const end = (settle: () => void): void => {
      timer.cancel();
      settle();
    };
    asked.on("error", (error) => end(() => reject(error)));
    asked.end();
  });
}
