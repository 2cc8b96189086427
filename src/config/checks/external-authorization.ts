import { mayChange } from "../../filters/external/service-fields.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { isDefault } from "./is-default.ts";

type External = NonNullable<Draft<NonNullable<FileConfig["authorization"]>>["external"]>;

const AT = ["authorization", "external"];

/** A service that is in no place or in two, that nobody has declared, or that is never asked. */
export function checkExternalAuthorization(draft: Draft<FileConfig>, reading: Reading): void {
  const external = draft.authorization?.external;
  if (external === undefined) return;
  const has = (key: string): boolean => reading.has([...AT, key]);
  if (has("upstream") === has("address"))
    reading.reportKey(AT, {
      code: has("upstream") ? "conflict" : "missing-key",
      message: has("upstream")
        ? "authorization.external has an upstream and an address: one of them is meant"
        : "authorization.external does not say where its service is",
      expected: "either upstream, the name of a declared upstream, or address",
    });
  if (draft.service?.protocol === "tcp") checkForTcp(external, reading);
  const { default: otherwise = "deny", allow, intentions } = draft.authorization ?? {};
  if (otherwise === "deny" && intentions === undefined && allow?.length === 0)
    reading.reportKey(AT, {
      code: "no-effect",
      message: "authorization.external is never asked: authorization.default is deny, and no rule lets a call in",
      expected:
        "default: allow, so that the service alone decides, or rules of allow for the calls that it is asked about",
    });
  const { upstream } = external;
  if (upstream !== undefined && draft.upstreams?.has(upstream) === false)
    reading.reportValue([...AT, "upstream"], {
      code: "conflict",
      message: `no upstream is called ${upstream}`,
      expected: "a name under upstreams",
    });
  if (external.match?.methods?.length === 0)
    reading.reportKey([...AT, "match", "methods"], {
      code: "no-effect",
      message: "authorization.external is asked about no call: methods is empty",
      expected: "at least one, or no such key",
    });
  if (has("failureStatus") && external.onFailure === "allow")
    reading.reportKey([...AT, "failureStatus"], {
      code: "no-effect",
      message: "failureStatus has no effect: onFailure is allow",
      expected: "onFailure: deny, or no such key",
    });
  for (const [index, name] of (external.reserved ?? []).entries())
    if (!mayChange(name))
      reading.reportValue([...AT, "reserved", index], {
        code: "no-effect",
        message: `${name} cannot be reserved: no service may set it`,
        expected: "a field of the application's own",
      });
  for (const name of external.metadata?.keys() ?? [])
    if (!mayChange(name) || name.startsWith("grpc-") || name === "content-type")
      reading.reportKey([...AT, "metadata", name], {
        code: "conflict",
        message: `${name} is a field of the protocol itself`,
        expected: "a field such as authorization or x-token",
      });
}

/** Keys that are about requests. */
function checkForTcp({ match, show, reserved, failureStatus }: External, reading: Reading): void {
  const fields = "a connection of TCP has no fields";
  const keys = [
    [["match", "methods"], match?.methods, "a connection of TCP has no method"],
    [["match", "metadata"], match?.metadata, fields],
    [["show"], show, fields],
    [["reserved"], reserved, fields],
    [["failureStatus"], failureStatus, "a connection of TCP that is denied is closed, without a status"],
  ] as const;
  for (const [key, value, why] of keys) {
    const path = [...AT, ...key];
    if (value === undefined || !reading.has(path) || isDefault(path.join("."), value)) continue;
    reading.reportKey(path, {
      code: "no-effect",
      message: `${key.join(".")} has no effect: service.protocol is tcp, and ${why}`,
      expected: "no such key, or a service that speaks HTTP",
    });
  }
}
