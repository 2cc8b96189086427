import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { AdvertiseError, type AdvertiseOptions, advertise, type FindRoute } from "../../src/discovery/advertise.ts";

const tcp = (host: string, port = 15006): Address => ({ kind: "tcp", host, port });
const local: AdvertiseOptions["source"] = { kind: "consul", address: "http://127.0.0.1:8500" };
const remote: AdvertiseOptions["source"] = { kind: "consul", address: "http://consul.internal:8500" };
const directory: AdvertiseOptions["source"] = { kind: "directory" };

const route: FindRoute = async (host) =>
  host === "consul.internal" ? { local: "10.0.0.7", remote: "10.0.0.1" } : { local: "127.0.0.1", remote: "127.0.0.1" };
const noRoute: FindRoute = async (host) => {
  throw new Error(`getaddrinfo ENOTFOUND ${host}`);
};

function advertised(change: Partial<AdvertiseOptions>, find = route): Promise<{ host: string; port: number }> {
  return advertise({ configured: undefined, inbound: tcp(""), podIp: undefined, source: remote, ...change }, find);
}

test("what is configured comes first", async () => {
  const configured = { host: "edge.example", port: 443 };
  const found = await advertised({ configured, inbound: tcp("10.0.0.9"), podIp: "10.0.0.8" }, noRoute);
  assert.deepEqual(found, configured);
});

test("parts of it may be left out", async () => {
  const inbound = tcp("10.0.0.9");
  assert.deepEqual(await advertised({ configured: { host: "", port: 443 }, inbound }), { host: "10.0.0.9", port: 443 });
  assert.deepEqual(await advertised({ configured: { host: "a", port: 0 }, inbound }), { host: "a", port: 15006 });
});

test("then the inbound host, unless it is a wildcard", async () => {
  const podIp = "10.0.0.8";
  assert.deepEqual(await advertised({ inbound: tcp("10.0.0.9"), podIp }), { host: "10.0.0.9", port: 15006 });
  for (const wildcard of ["", "0.0.0.0", "::"]) {
    assert.deepEqual(await advertised({ inbound: tcp(wildcard), podIp }), { host: podIp, port: 15006 });
  }
});

test("then the source address of the route to the discovery source", async () => {
  assert.deepEqual(await advertised({}), { host: "10.0.0.7", port: 15006 });
  assert.deepEqual(await advertised({ podIp: "" }), { host: "10.0.0.7", port: 15006 });
  assert.deepEqual(await advertised({ source: local }), { host: "127.0.0.1", port: 15006 });
});

test("a directory is on this machine", async () => {
  assert.deepEqual(await advertised({ source: directory }, noRoute), { host: "127.0.0.1", port: 15006 });
  const inbound = tcp("::1");
  assert.deepEqual(await advertised({ source: directory, inbound }, noRoute), { host: "::1", port: 15006 });
});

test("a listener of IPv4 alone is advertised by the route over IPv4", async () => {
  const asked: boolean[] = [];
  const find: FindRoute = async (_host, _port, ipv4) => {
    asked.push(ipv4);
    return { local: "10.0.0.7", remote: "10.0.0.1" };
  };
  await advertised({ inbound: tcp("0.0.0.0") }, find);
  await advertised({ inbound: tcp("::") }, find);
  assert.deepEqual(asked, [true, false]);
});

test("loopback is refused where the source is elsewhere, however it came about", async () => {
  const message = {
    name: "AdvertiseError",
    isTemporary: false,
    message:
      "cannot advertise the service: 127.0.0.1:15006 can be dialled from this machine only, but the discovery source " +
      "is elsewhere: set service.advertise",
  };
  await assert.rejects(advertised({ inbound: tcp("127.0.0.1") }), message);
  await assert.rejects(advertised({ configured: { host: "127.0.0.1", port: 0 } }), message);
  await assert.rejects(advertised({ podIp: "127.0.0.1" }), message);
  await assert.rejects(advertised({ inbound: tcp("localhost") }), /localhost:15006 can be dialled from this machine/);
  const inbound = tcp("127.0.0.1");
  assert.deepEqual(await advertised({ source: local, inbound }), { host: "127.0.0.1", port: 15006 });
});

test("what nobody can dial is refused", async () => {
  const configured = { host: "0.0.0.0", port: 1 };
  await assert.rejects(advertised({ configured }), /0\.0\.0\.0:1 is unspecified, nobody can dial it/);
  await assert.rejects(advertised({ podIp: "fe80::1" }), /\[fe80::1\]:15006 is link-local/);
  const inbound: Address = { kind: "unix", path: "/run/in.sock", mode: 0o600 };
  await assert.rejects(advertised({ inbound }), /unix:\/run\/in\.sock has no port that others could dial/);
});

test("a source that cannot be found now may be found later", async () => {
  await assert.rejects(advertised({}, noRoute), (error) => {
    assert.ok(error instanceof AdvertiseError);
    assert.ok(error.isTemporary);
    assert.match(
      error.message,
      /^cannot find the address .* consul\.internal:8500 \(.*ENOTFOUND.*\): set service\.advertise$/,
    );
    return true;
  });
});

test("the kernel's route to a loopback source begins on loopback", async () => {
  const options = { configured: undefined, inbound: tcp(""), podIp: undefined, source: local };
  assert.deepEqual(await advertise(options), { host: "127.0.0.1", port: 15006 });
});

test("a host name that does not exist has no route", async () => {
  const source = { kind: "consul", address: "http://consul.invalid:8500" } as const;
  const options = { configured: undefined, inbound: tcp(""), podIp: undefined, source };
  await assert.rejects(advertise(options), { name: "AdvertiseError", isTemporary: true });
});
