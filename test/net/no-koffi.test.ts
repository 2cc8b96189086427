import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";
import { openOriginalDestination } from "../../src/net/original-destination.ts";
import { freePort } from "../support/ports.ts";
import { answerHead, callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, RawServer } from "../support/raw-peer.ts";
import { inScope } from "../support/with-proxy.ts";

// The package koffi is optional: it is native code, and not there for every platform.
registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "koffi")
      throw Object.assign(new Error("Cannot find package 'koffi'"), { code: "ERR_MODULE_NOT_FOUND" });
    return next(specifier, context);
  },
});

test("without the native package nobody can tell where a connection was going, and it is said why", async () => {
  assert.equal(await openOriginalDestination(), "the package koffi cannot be used: Cannot find package 'koffi'");
});

test("a sidecar starts without it, says so, and takes captured HTTP/2 by its :authority", async () => {
  await inScope(async (scope) => {
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const outbound = `127.0.0.1:${await freePort()}`;
    const sidecar = await scope.sidecar({
      identity: { name: "caller" },
      upstreams: { up: { discovery: "static", endpoints: [server.address] } },
      capture: { inbound: `127.0.0.1:${await freePort()}`, outbound },
    });
    const [warning] = sidecar.lines.filter(({ level }) => level === "warn");
    assert.match(
      String(warning?.msg),
      /^where captured connections were going is not known: the package koffi cannot be used: .*; only HTTP\/2 is taken, by its :authority$/,
    );
    const caller = await connectPeer(scope, outbound);
    const call = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const { stream } = await upstream.nextRequest();
    upstream.headers(stream, [...answerHead, ["grpc-status", "0"]], true);
    const { head } = await caller.answer(call);
    assert.equal(fieldOf(head, "grpc-status"), "0");
  });
});
