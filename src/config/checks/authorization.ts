import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

type Rules = Draft<NonNullable<FileConfig["authorization"]>>;
type Rule = NonNullable<Rules["allow"]>[number];

/** Rules that can be for no call, that change nothing, or that cannot be told apart. */
export function checkAuthorization(draft: Draft<FileConfig>, reading: Reading): void {
  const { authorization: rules } = draft;
  if (rules === undefined) return;
  if (!reading.has(["service"]))
    reading.reportKey(["authorization"], {
      code: "no-effect",
      message: "authorization has no effect: without a service there are no inbound calls",
      expected: "a service, or no such key",
    });
  if (rules.intentions !== undefined) checkIntentions(draft, reading);
  const names = new Set(["default"]);
  for (const effect of ["deny", "allow"] as const) {
    for (const [index, rule] of (rules[effect] ?? []).entries()) {
      const path = ["authorization", effect, index];
      checkName(rule.name, path, names, reading);
      checkConditions(rule, path, draft, reading);
      if (effect === "allow" && rules.default === "allow")
        reading.reportKey(path, {
          code: "no-effect",
          message: `${nameOf(rule)} has no effect: authorization.default is allow, and every call is let in without it`,
          expected: "default: deny, or no such rule",
        });
    }
  }
}

function checkIntentions(draft: Draft<FileConfig>, reading: Reading): void {
  const conflict = (message: string, expected: string): void =>
    reading.reportValue(["authorization", "intentions"], { code: "conflict", message, expected });
  if (!reading.has(["discovery", "consul"]))
    conflict(
      "the intentions of Consul cannot be read: there is no discovery.consul",
      "discovery.consul with its address",
    );
  if (draft.mtls?.mode === "disabled")
    conflict(
      "intentions are about who calls: mtls.mode is disabled, and no caller has an identity",
      "mtls.mode: permissive or strict",
    );
}

function checkName(name: string | undefined, path: Path, names: Set<string>, reading: Reading): void {
  if (name === undefined) return;
  if (names.has(name))
    reading.reportValue([...path, "name"], {
      code: "conflict",
      message:
        name === "default"
          ? "default is what stands for authorization.default in logs and metrics"
          : `${name} is the name of another rule as well`,
      expected: "a name of its own for each rule",
    });
  names.add(name);
}

function checkConditions(rule: Rule, path: Path, draft: Draft<FileConfig>, reading: Reading): void {
  const never = (key: string, why: string, expected: string): void =>
    reading.reportKey([...path, key], {
      code: "no-effect",
      message: `${nameOf(rule)} is for no call: ${why}`,
      expected,
    });
  for (const key of ["identities", "services", "methods", "addresses"] as const)
    if (rule[key]?.length === 0) never(key, `${key} is empty`, "at least one, or no such key for all");
  if (draft.mtls?.mode === "disabled")
    for (const key of ["identities", "services"] as const)
      if (reading.has([...path, key]))
        never(key, "mtls.mode is disabled, and no caller has an identity", "mtls.mode: permissive or strict");
  if (draft.service?.protocol === "tcp") {
    const expected = "identities, services or addresses";
    const none = (key: string): string => `service.protocol is tcp, and a connection of TCP has no ${key}`;
    if (reading.has([...path, "methods"]) && rule.methods?.includes("*") !== true)
      never("methods", none("methods"), expected);
    if ((rule.metadata?.size ?? 0) > 0) never("metadata", none("metadata"), expected);
  }
  if (!reading.has(["jwt"]) && (rule.claims?.size ?? 0) > 0)
    never("claims", "without jwt no call has a token that was verified", "jwt with a provider, or no such key");
  if (rule.services?.includes("unauthenticated"))
    never("services", "a caller without a certificate is no service", "a rule without identities and services");
  if (draft.listeners?.inbound?.kind === "unix" && reading.has([...path, "addresses"]))
    never("addresses", "listeners.inbound is a unix socket, whose callers have no address", "no such key");
}

function nameOf({ name }: Rule): string {
  return name === undefined ? "this rule" : `the rule ${name}`;
}
