import { AuthorizationServer } from "../../support/authorization-server.ts";
import { callHead, connectPeer, inboundConfig } from "../../support/raw-call.ts";
import { RawServer } from "../../support/raw-peer.ts";
import { ISSUER, Issuer, KeyServer, keySet } from "../../support/tokens.ts";
import type { Scope } from "../../support/with-proxy.ts";
import { folder, mesh } from "../mtls/mesh.ts";
import type { StatusCase } from "./case.ts";

/** A stranger's call in plaintext. */
async function stranger(scope: Scope, authorization: object) {
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const sidecar = await scope.sidecar(inboundConfig(server.address, { authorization: { ...authorization } }));
  const caller = await connectPeer(scope, sidecar.inbound);
  return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
}

/** A call with a token, or without, to a sidecar that wants one of an issuer. */
async function withToken(
  scope: Scope,
  token: string | undefined,
  issuer?: Issuer,
  mode: KeyServer["mode"] = "answer",
): ReturnType<StatusCase["provoke"]> {
  const keys = await KeyServer.start(keySet(issuer ?? (await Issuer.make("one"))));
  scope.onEnd(() => keys.stop());
  keys.mode = mode;
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const accounts = { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url } };
  const sidecar = await scope.sidecar(inboundConfig(server.address, { jwt: { providers: { accounts } } }));
  const caller = await connectPeer(scope, sidecar.inbound);
  const fields: [string, string][] = token === undefined ? [] : [["authorization", `Bearer ${token}`]];
  return { sidecar, answer: await caller.answer(caller.request([...callHead("up"), ...fields], true)) };
}

const inbound = { direction: "inbound", upstream: "up" } as const;

/** Calls that their callers may not make. */
export const authorizing: readonly StatusCase[] = [
  {
    title: "a stranger whom a rule denies, and who is not told which",
    expected: {
      ...inbound,
      status: 7,
      reason: "AUTHZ_DENIED",
      message: "the caller may not make this call",
      detail: /^a caller without an identity: the rule no-strangers denies it$/,
    },
    provoke: (scope) => stranger(scope, { default: "allow", deny: [{ name: "no-strangers" }] }),
  },
  {
    title: "a caller who is known and not allowed, and reads who it is and no rule",
    expected: {
      ...inbound,
      status: 7,
      reason: "AUTHZ_DENIED",
      message: "spiffe://test.mesh/ns/default/dc/dc1/svc/caller may not make this call of up",
      detail: /^spiffe:.*\/svc\/caller: no rule allows it$/,
    },
    provoke: async (scope) => {
      const { inbound: sidecar, outbound } = await mesh(scope, {
        authorization: { allow: [{ name: "web", services: ["web"] }] },
      });
      const peer = await connectPeer(scope, outbound.outbound);
      const answer = await peer.answer(peer.request(callHead("up"), true));
      return { sidecar, answer };
    },
  },
  {
    title: "a plaintext caller where identities may call",
    expected: {
      ...inbound,
      status: 16,
      reason: "NO_IDENTITY",
      message: "the call needs a caller who proves who it is",
      detail: /^a caller without an identity: no rule allows it$/,
    },
    provoke: async (scope) => {
      const { inbound: sidecar } = await mesh(scope, {
        inbound: "permissive",
        authorization: { allow: [{ name: "web", services: ["*"] }] },
      });
      const caller = await connectPeer(scope, sidecar.inbound);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a call that the authorization service refuses, in its words",
    expected: {
      ...inbound,
      status: 16,
      reason: "AUTHZ_REFUSED",
      message: "who are you?",
      detail:
        /^a caller without an identity: the authorization service 127\.0\.0\.1:\d+ says PERMISSION_DENIED, HTTP 401: no token$/,
    },
    provoke: async (scope) => {
      const service = new AuthorizationServer();
      await service.start();
      scope.onEnd(() => service.stop());
      service.answer = () => ({ code: 7, message: "no token", denied: { status: 401, body: "who are you?" } });
      return await stranger(scope, { default: "allow", external: { address: service.address, timeout: "10s" } });
    },
  },
  {
    title: "a call about which the authorization service cannot be asked",
    expected: {
      ...inbound,
      status: 7,
      reason: "AUTHZ_UNAVAILABLE",
      message: "the authorization service does not answer",
      detail: /^the authorization service 127\.0\.0\.1:\d+ does not answer: (CONNECT_|no answer within)/,
    },
    provoke: async (scope) => {
      const gone = await RawServer.listen();
      const { address } = gone;
      await gone.close();
      return await stranger(scope, { default: "allow", external: { address, timeout: "2s" } });
    },
  },
  {
    title: "a sidecar that does not know the intentions yet",
    expected: {
      ...inbound,
      status: 14,
      reason: "AUTHZ_UNKNOWN",
      message: "who may make this call is not known yet",
      detail: /^the intentions of Consul are not known yet, so that nobody may call up$/,
      unprocessed: true,
    },
    provoke: async (scope) => {
      const server = await RawServer.listen();
      scope.onEnd(() => server.close());
      const sidecar = await scope.sidecar(
        inboundConfig(server.address, {
          mtls: { mode: "permissive", source: { development: { path: await folder(scope) } } },
          // Nobody answers there.
          discovery: { consul: { address: "http://127.0.0.1:1" } },
          authorization: { intentions: "consul" },
        }),
      );
      const caller = await connectPeer(scope, sidecar.inbound);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a call without the token that it needs",
    expected: {
      ...inbound,
      status: 16,
      reason: "JWT_MISSING",
      fields: ["www-authenticate"],
      message: "the call needs a token",
      detail: /^the call's token is not taken: there is none$/,
    },
    provoke: async (scope) => await withToken(scope, undefined),
  },
  {
    title: "a call with a token that somebody else has signed",
    expected: {
      ...inbound,
      status: 16,
      reason: "JWT_INVALID",
      fields: ["www-authenticate"],
      message: "the call's token is not taken",
      detail: /^the call's token is not taken: its signature is wrong$/,
    },
    provoke: async (scope) => await withToken(scope, await (await Issuer.make("one")).sign()),
  },
  {
    title: "a call with a token of yesterday",
    expected: {
      ...inbound,
      status: 16,
      reason: "JWT_EXPIRED",
      fields: ["www-authenticate"],
      message: "the call's token has expired",
      detail: /^the call's token is not taken: it has expired$/,
    },
    provoke: async (scope) => {
      const issuer = await Issuer.make("one");
      return await withToken(scope, await issuer.sign({ exp: Math.floor(Date.now() / 1000) - 86_400 }), issuer);
    },
  },
  {
    title: "a call with a token where the keys cannot be had",
    expected: {
      ...inbound,
      status: 14,
      reason: "JWT_KEYS_UNAVAILABLE",
      message: "tokens cannot be verified now",
      detail: /^the call's token is not taken: the keys for it cannot be had$/,
      unprocessed: true,
    },
    provoke: async (scope) => {
      const issuer = await Issuer.make("one");
      return await withToken(scope, await issuer.sign(), issuer, "fail");
    },
  },
];
