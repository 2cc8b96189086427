import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { SourceKind, UpstreamConfig } from "../types.ts";

/** Where an upstream is in DNS: a host with its port, or SRV records, and only with a source that asks for them. */
export function checkDns(name: string, dns: Draft<UpstreamConfig["dns"]>, source: SourceKind, reading: Reading): void {
  const path = ["upstreams", name, "dns"];
  if (source !== "dns") {
    if (!reading.has(path)) return;
    reading.reportKey(path, {
      code: "no-effect",
      message: `upstreams.${name}.dns has no effect: ${name} is found by ${source} discovery`,
      expected: "discovery: dns beside it, or no such key",
    });
    return;
  }
  if (!reading.has(path)) {
    reading.reportKey(path.slice(0, -1), {
      code: "missing-key",
      message: `missing key "dns" in upstreams.${name}: what is its name in DNS?`,
      expected: "dns: { name: HOST, port: PORT } or dns: { srv: NAME }",
    });
    return;
  }
  if (dns !== undefined) checkForm(path, reading);
}

function checkForm(path: Path, reading: Reading): void {
  const has = (key: string): boolean => reading.has([...path, key]);
  const where = path.join(".");
  if (has("srv")) {
    for (const key of ["name", "port"].filter(has)) {
      reading.reportKey([...path, key], {
        code: "conflict",
        message: `${where} has a ${key} and an srv: SRV records say both`,
        expected: "a name and a port, or an srv",
      });
    }
    return;
  }
  for (const [key, other] of [
    ["name", "port"],
    ["port", "name"],
  ] as const) {
    if (has(key) || (!has(other) && key === "port")) continue;
    reading.reportKey(path, {
      code: "missing-key",
      message: `missing key "${key}" in ${where}`,
      expected: key === "name" ? "name: HOST and port: PORT, or srv: NAME" : "the port at each address of the host",
    });
  }
}
