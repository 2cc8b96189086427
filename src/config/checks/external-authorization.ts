import { mayChange } from "../../filters/external/service-fields.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

const AT = ["authorization", "external"];

/** A service that is in no place or in two, that nobody has declared, or that is never asked. */
export function checkExternalAuthorization(draft: Draft<FileConfig>, reading: Reading): void {
  const external = draft.authorization?.external;
  if (external === undefined) return;
  if (draft.service?.protocol === "tcp")
    reading.reportKey(AT, {
      code: "not-yet-supported",
      message: "a service that decides about connections of tcp is not yet supported",
      expected: "rules of allow and deny by identities, services or addresses",
    });
  const has = (key: string): boolean => reading.has([...AT, key]);
  if (has("upstream") === has("address"))
    reading.reportKey(AT, {
      code: has("upstream") ? "conflict" : "missing-key",
      message: has("upstream")
        ? "authorization.external has an upstream and an address: one of them is meant"
        : "authorization.external does not say where its service is",
      expected: "either upstream, the name of a declared upstream, or address",
    });
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
