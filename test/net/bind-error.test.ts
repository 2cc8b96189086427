import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { BindError, explainBind } from "../../src/net/bind-error.ts";
import { freePort } from "../support/ports.ts";

const tcp: Address = { kind: "tcp", host: "127.0.0.1", port: 80 };
const unix: Address = { kind: "unix", path: "/tmp/s", mode: 0o600 };

const cases: [address: Address, code: string, why: string][] = [
  [tcp, "EACCES", "ports below 1024 need root or CAP_NET_BIND_SERVICE"],
  [tcp, "EADDRNOTAVAIL", "no interface of this machine has that address"],
  [tcp, "EAFNOSUPPORT", "this machine has no addresses of that family (IPv6 is maybe switched off)"],
  [tcp, "EMFILE", "too many open files: raise the limit (ulimit -n)"],
  [tcp, "EWHATEVER", "listen EWHATEVER"],
  [unix, "EACCES", "this user may not create a socket in that folder"],
  [{ ...unix, path: "/no-such-folder/s" }, "EACCES", "the folder of the socket does not exist"],
  [unix, "EADDRINUSE", "another process took it at the same moment"],
  [unix, "EROFS", "the file system is read-only"],
  [unix, "ENOTDIR", "a part of the path is no folder"],
];

for (const [address, code, why] of cases) {
  test(`${code} of ${address.kind === "unix" ? address.path : "a port"} means: ${why}`, async () => {
    const cause = Object.assign(new Error(`listen ${code}`), { code });
    const error = await explainBind(address, cause);
    const where = address.kind === "unix" ? `unix:${address.path}` : "127.0.0.1:80";
    assert.equal(error.message, `cannot listen on ${where}: ${why}`);
    assert.deepEqual([error.code, error.cause], [code, cause]);
  });
}

test("a port whose holder cannot be seen has the likely ones named", async () => {
  const cause = Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" });
  const error = await explainBind({ kind: "tcp", host: "127.0.0.1", port: await freePort() }, cause);
  assert.match(
    error.message,
    /the port is in use, by a process of another user or another sidecar on this host network$/,
  );
});

test("an error that is explained already stays as it is", async () => {
  const error = new BindError(tcp, "EEXIST", "why");
  assert.equal(await explainBind(tcp, error), error);
});
