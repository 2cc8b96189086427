// A 64 MiB unary message and a 256 MiB stream to a reader who stands still grow the resident memory of each sidecar on the
// way by less than 16 MiB. Two sidecars in processes of their own; caller and application are here.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { callHead, message } from "../support/raw-call.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { runLong } from "../support/results.ts";
import { MemoryWatch, mebibytes, residentMemory, startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

const MIB = 1_048_576;
const UNARY = 64 * MIB;
const STREAM = 256 * MIB;
const CHUNK = MIB / 4;
const MOST = 16 * MIB;
/** Milliseconds that the reader stands still, beyond the last octet that moves. */
const STILL = 1500;

const { unary, serverStream } = testService;
let written = 0;

const server = await GrpcServer.start({
  unary: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, call.request),
  serverStream: (call: ServerWritableStream<Buffer, Buffer>) => {
    const chunk = Buffer.alloc(CHUNK, 5);
    written = 0;
    const pour = (): void => {
      while (written < STREAM) {
        written += CHUNK;
        if (!call.write(chunk)) {
          call.once("drain", pour);
          return;
        }
      }
      call.end();
    };
    pour();
  },
});

function callUnary(client: Client, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      unary.path,
      unary.requestSerialize,
      unary.responseDeserialize,
      request,
      (error, message) => {
        if (error !== null) reject(error);
        else resolve(message ?? Buffer.alloc(0));
      },
    );
  });
}

/** The last growth of both sidecars, for people. */
function told(growth: readonly number[], left?: number): string {
  const after = left === undefined ? "" : `, ${mebibytes(left)} MiB have left the application's hands`;
  return `${growth.slice(-2).join(" and ")} MiB more at most${after}`;
}

await runLong("large-streams", async ({ short, say }) => {
  const near = await startSidecarProcess({ service: { name: "up", address: server.address, health: "none" } });
  const far = await startSidecarProcess({
    upstreams: { up: { discovery: "static", endpoints: [near.address("inbound")] } },
  });
  const sidecars = [near, far];
  const pids = sidecars.map(({ pid }) => pid);
  const client = grpcClient(far.address("outbound"), "up");
  try {
    for (let call = 0; call < 2000; call++) await callUnary(client, Buffer.alloc(100));
    const idle = await Promise.all(pids.map(residentMemory));
    say(`at rest after 2,000 calls: ${idle.map(mebibytes).join(" and ")} MiB`);

    const growths = { unary: [] as number[], stalled: [] as number[], halted: [] as number[], read: [] as number[] };
    for (let round = 0; round < (short ? 1 : 5); round++) {
      const watch = new MemoryWatch(pids);
      await watch.begin();
      const request = Buffer.alloc(UNARY, 9);
      const answer = await callUnary(client, request);
      assert.ok(answer.equals(request), "the message is the same");
      growths.unary.push(...(await watch.end()).map(mebibytes));
      say(`a 64 MiB unary message there and back: ${told(growths.unary)}`);

      await watch.begin();
      const reader = await RawPeer.connect(far.address("outbound"), { credit: false, discard: true });
      const stream = reader.request(
        callHead("up").map((field) => (field[0] === ":path" ? [":path", serverStream.path] : field)),
      );
      reader.data(stream, message("begin"), true);
      const stand = async (): Promise<void> => {
        for (let last = -1; written !== last || written === 0; ) {
          last = written;
          await sleep(STILL);
        }
      };
      await stand();
      growths.stalled.push(...(await watch.end()).map(mebibytes));
      say(`a stream of 256 MiB to a reader who stands still: ${told(growths.stalled, written)}`);
      await watch.begin();
      reader.window(0, STREAM / 4);
      reader.window(stream, STREAM / 4);
      await stand();
      assert.ok(written < STREAM, "the application could not write all of it");
      growths.halted.push(...(await watch.end()).map(mebibytes));
      say(`the same, when the reader halts after 64 MiB: ${told(growths.halted, written)}`);
      await watch.begin();
      reader.window(0, STREAM * 2);
      reader.window(stream, STREAM * 2);
      await eventually(
        () =>
          reader.received.some(({ kind, stream: of }) => kind === "headers" && of === stream && written === STREAM) &&
          reader.discarded >= STREAM,
        () => `${reader.discarded} octets have come`,
        60_000,
      );
      reader.socket.destroy();
      growths.read.push(...(await watch.end()).map(mebibytes));
      say(`the same, once it is read: ${told(growths.read, written)}`);
    }
    const grown = await Promise.all(pids.map(residentMemory));
    say(`at rest: ${grown.map(mebibytes).join(" and ")} MiB`);
    for (const [what, growth] of Object.entries(growths))
      assert.ok(Math.max(...growth) < mebibytes(MOST), `${what}: ${Math.max(...growth)} MiB more, the bound is 16`);
    return { idleMiB: idle.map(mebibytes), grownMiB: grown.map(mebibytes), growthMiB: growths };
  } catch (error) {
    for (const { process } of sidecars) say(process.stderr());
    throw error;
  } finally {
    client.close();
    await Promise.all(sidecars.map(({ process }) => process.stop()));
    server.stop();
  }
});
