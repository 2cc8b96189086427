import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { AuthorizationServer } from "../../support/authorization-server.ts";
import { idOf } from "../../support/certificates.ts";
import { type Answer, ask, httpServer, socketMesh } from "../../support/socket-mesh.ts";
import { inScope, type Scope } from "../../support/with-proxy.ts";

const get = (
  address: string,
  path: string,
  headers: Readonly<Record<string, string | string[]>> = {},
): Promise<Answer> => ask(address, { path, headers: { ...headers } });

/** An application of HTTP/1.1 that remembers the fields it got. */
async function application(scope: Scope): Promise<{ readonly address: string; readonly seen: IncomingHttpHeaders[] }> {
  const seen: IncomingHttpHeaders[] = [];
  const { address } = await httpServer(scope, (request, response) => {
    seen.push(request.headers);
    response.setHeader("x-kept", "old").end("hello");
  });
  return { address, seen };
}

test("the service decides about requests of HTTP/1.1, and its words and fields reach caller and application", async () => {
  await inScope(async (scope) => {
    const app = await application(scope);
    const service = new AuthorizationServer();
    await service.start();
    scope.onEnd(() => service.stop());
    const external = { address: service.address, timeout: "10s", reserved: ["x-user"] };
    const { inbound, address } = await socketMesh(scope, {
      protocol: "http1",
      mode: "strict",
      applications: [app.address],
      inbound: { authorization: { default: "allow", external } },
    });
    service.answer = () => ({
      code: 0,
      ok: {
        fields: [{ name: "x-user", value: "ann" }],
        removed: ["x-token"],
        answer: [
          { name: "x-kept", value: "new", append: false },
          { name: "x-added", value: "1" },
        ],
      },
    });
    const passed = await get(address, "/a?b=c", { "x-user": "root", "x-token": "t", "content-length": "0" });
    assert.deepEqual([passed.status, passed.body], [200, "hello"]);
    assert.deepEqual([passed.headers["x-kept"], passed.headers["x-added"]], ["new", "1"]);
    assert.deepEqual([app.seen[0]?.["x-user"], app.seen[0]?.["x-token"]], ["ann", undefined]);
    const [asked] = service.asked;
    assert.deepEqual([asked?.protocol, asked?.method, asked?.path, asked?.size], ["HTTP/1.1", "GET", "/a?b=c", 0]);
    assert.deepEqual([asked?.source.principal, asked?.destination.address], [idOf("caller"), inbound.inbound]);
    assert.equal(asked?.headers["x-user"], undefined);
    const fields = [
      { name: "content-type", value: "text/html" },
      { name: "www-authenticate", value: "Bearer" },
    ];
    service.answer = () => ({ code: 16, denied: { status: 401, body: "<p>who?</p>", fields } });
    const refused = await get(address, "/");
    assert.deepEqual([refused.status, refused.body], [401, "<p>who?</p>"]);
    assert.deepEqual([refused.headers["content-type"], refused.headers["www-authenticate"]], ["text/html", "Bearer"]);
    assert.equal(refused.headers["outrigger-reason"], "AUTHZ_REFUSED");
    assert.equal(app.seen.length, 1);
  });
});

test("nobody goes round the service by another way to write a path, or a name of a field", async () => {
  await inScope(async (scope) => {
    const app = await application(scope);
    const service = new AuthorizationServer();
    await service.start();
    scope.onEnd(() => service.stop());
    service.answer = () => ({ code: 7 });
    const external = { address: service.address, timeout: "10s", reserved: ["x-user"] };
    const sidecar = (match: object) =>
      socketMesh(scope, {
        protocol: "http1",
        applications: [app.address],
        inbound: { authorization: { default: "allow", external: { ...external, ...match } } },
      });
    const all = await sidecar({});
    const some = await sidecar({ match: { methods: ["admin/delete"], metadata: { "x-ask": "yes" } } });
    const health = "/grpc.health.v1.Health/Check";
    for (const path of [`${health}/../../../admin/x`, `${health}/%2e%2e/%2E./x`, `${health}/..;/..;/x`])
      assert.equal((await get(all.inbound.inbound, path)).status, 403, path);
    const fields = { "x-ask": ["no", "yes"] };
    for (const path of ["/admin/delete", "/admin/delete?a=b", "//admin/%64elete", "/admin;a/delete"])
      assert.equal((await get(some.inbound.inbound, path, fields)).status, 403, path);
    assert.deepEqual(app.seen, []);
    const passed = await get(all.inbound.inbound, health, { "x-user": "root", x_user: "root" });
    assert.equal(passed.status, 200);
    assert.deepEqual(
      Object.keys(app.seen[0] ?? {}).filter((name) => name.includes("user")),
      [],
    );
  });
});

for (const mode of ["disabled", "permissive"] as const)
  test(`what a stranger says of others in HTTP/1.1 is replaced, not added to (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const app = await application(scope);
      const upstream = mode === "permissive" ? { mtls: "strict" } : {};
      const options = { protocol: "http1", mode, applications: [app.address], upstream } as const;
      const { inbound, address } = await socketMesh(scope, options);
      const forged = {
        "x-forwarded-for": ["192.0.2.7", "192.0.2.8"],
        "X-Forwarded-Client-Cert": [`URI=${idOf("admin")}`, `URI=${idOf("root")}`],
        Forwarded: "for=192.0.2.7",
      };
      assert.equal((await get(inbound.inbound, "/", forged)).status, 200);
      const [stranger] = app.seen;
      assert.equal(stranger?.["x-forwarded-for"], "127.0.0.1");
      assert.equal(stranger?.["x-forwarded-client-cert"], undefined);
      assert.equal(stranger?.forwarded, undefined);
      // By a sidecar that proves who it is: the certificate is its own, whatever was said.
      if (mode !== "permissive") return;
      assert.equal((await get(address, "/", forged)).status, 200);
      const told = app.seen[1]?.["x-forwarded-client-cert"];
      assert.match(String(told), /^By=[^,]*;URI=spiffe:[^,]*\/svc\/caller$/);
    });
  });
