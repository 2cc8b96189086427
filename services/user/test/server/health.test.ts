import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "../../api/gen/grpc/health/v1/health_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { failureOf, serve } from "../support/serve.ts";

describe("grpc.health.v1", () => {
  it("says SERVING for the server and for the user service", async (t) => {
    const { health } = await serve(t);
    for (const service of ["", "user.v1.UserService"]) {
      assert.equal((await health.check({ service })).status, ServingStatus.SERVING);
    }
  });

  it("answers NOT_FOUND for a service that is not known, and SERVICE_UNKNOWN to one who watches it", async (t) => {
    const { health } = await serve(t);
    await failureOf(health.check({ service: "order.v1.OrderService" }), status.NOT_FOUND);
    for await (const { status: told } of health.watch({ service: "order.v1.OrderService" })) {
      assert.equal(told, ServingStatus.SERVICE_UNKNOWN);
      break;
    }
  });

  it("says of the user service, and not of the server, whether its store can be reached", async (t) => {
    const repository = new FakeUserRepository();
    const { health, server, lines } = await serve(t, { repository });
    const ask = async (service: string) => (await health.check({ service })).status;
    repository.setReachable(false);
    assert.equal(await ask("user.v1.UserService"), ServingStatus.NOT_SERVING);
    assert.equal(await ask(""), ServingStatus.SERVING);
    repository.setReachable(true);
    assert.equal(await ask("user.v1.UserService"), ServingStatus.SERVING);
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ["the store cannot be reached", "the store can be reached again"],
    );
    const stopped = server.stop(2_000);
    repository.setReachable(true);
    assert.equal(lines.length, 2);
    assert.equal(await stopped, true);
  });

  it("tells those who watch NOT_SERVING when the server stops, then ends with UNAVAILABLE", async (t) => {
    const { health, server } = await serve(t);
    const told: ServingStatus[] = [];
    const begun = Promise.withResolvers<void>();
    const watching = (async () => {
      for await (const response of health.watch({ service: "user.v1.UserService" })) {
        told.push(response.status);
        begun.resolve();
      }
    })();
    const ended = failureOf(watching, status.UNAVAILABLE);
    await begun.promise;
    assert.equal(await server.stop(2_000), true);
    assert.equal((await ended).details, "the server is stopping");
    assert.deepEqual(told, [ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });
});
