import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, ServiceError } from "@grpc/grpc-js";
import { CountingMesh } from "../support/counting-mesh.ts";
import { counterService } from "../support/counting-service.ts";
import { grpcClient } from "../support/grpc-service.ts";
import { eventually } from "../support/with-proxy.ts";

/** Streams that are opened again whenever one ends for the reason that it may be. */
class Subscribers {
  readonly others: string[] = [];
  moved = 0;
  private readonly client: Client;
  private closed = false;

  constructor(client: Client, count: number) {
    this.client = client;
    for (let at = 0; at < count; at++) this.open();
  }

  private open(): void {
    const { path, requestSerialize, responseDeserialize } = counterService.hold;
    const stream = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    stream.on("data", () => {});
    stream.write(Buffer.from("here"));
    stream.on("error", ({ code, details, metadata }: ServiceError) => {
      if (this.closed) return;
      if (code === 14 && metadata.get("outrigger-reason")[0] === "REBALANCE") this.moved++;
      else this.others.push(`${code} ${details}`);
      this.open();
    });
  }

  close(): void {
    this.closed = true;
    this.client.close();
  }
}

interface Clusters {
  readonly clusters: { readonly name: string; readonly endpoints: { readonly inFlight: number }[] }[];
}

test("streams of a method that is named move to instances that come later, and none ends otherwise", async () => {
  const streams = { methods: ["test.v1.Counter/Hold"], maxAge: "400ms", jitter: "50%" };
  const mesh = await CountingMesh.start({ upstream: { streams } });
  let subscribers: Subscribers | undefined;
  try {
    await mesh.add("first");
    await mesh.reaches(1);
    subscribers = new Subscribers(grpcClient(mesh.caller.address("outbound"), "counter"), 20);
    const spread = async (): Promise<number[]> => {
      const { clusters } = (await mesh.caller.admin("/clusters")) as Clusters;
      const [counter] = clusters.filter(({ name }) => name === "counter");
      return (counter?.endpoints ?? []).map(({ inFlight }) => inFlight);
    };
    await eventually(
      async () => (await spread())[0] === 20,
      () => "twenty streams at the first",
      20_000,
    );
    await mesh.add("second");
    let seen: number[] = [];
    await eventually(
      async () => {
        seen = await spread();
        return seen.length === 2 && seen.every((count) => count >= 7);
      },
      () => `both have their part: ${seen.join(" ")}`,
      60_000,
    );
    assert.ok(subscribers.moved >= 7);
    assert.deepEqual(subscribers.others, []);
  } finally {
    subscribers?.close();
    await mesh.stop();
  }
});
