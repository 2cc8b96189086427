import { isLoopback } from "../../discovery/bad-endpoint.ts";
import type { KeyPlace } from "../../identity/jwt/key-source.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

type Jwt = Draft<NonNullable<FileConfig["jwt"]>>;
type Keys = Draft<KeyPlace>;

/** Providers without keys or that cannot be told apart, and rules that name others. */
export function checkJwt(draft: Draft<FileConfig>, reading: Reading): void {
  const { jwt } = draft;
  if (jwt === undefined) return;
  if (!reading.has(["service"]))
    reading.reportKey(["jwt"], {
      code: "no-effect",
      message: "jwt has no effect: without a service there are no inbound calls",
      expected: "a service, or no such key",
    });
  if (draft.service?.protocol === "tcp")
    reading.reportKey(["jwt"], {
      code: "conflict",
      message: "jwt refuses every call: service.protocol is tcp, and a connection of TCP has no token",
      expected: "a service that speaks HTTP, or no such key",
    });
  if (jwt.providers?.size === 0)
    reading.reportKey(["jwt", "providers"], {
      code: "conflict",
      message: "jwt.providers is empty, and no token is believed",
      expected: "at least one provider",
    });
  checkProviders(jwt, reading);
  checkRules(jwt, reading);
}

function checkProviders({ providers }: Jwt, reading: Reading): void {
  const issuers = new Map<string, string>();
  for (const [name, provider] of providers ?? []) {
    const at = ["jwt", "providers", name];
    const { issuer, keys, from, algorithms } = provider;
    const other = issuer === undefined ? undefined : issuers.get(issuer);
    if (other !== undefined)
      reading.reportValue([...at, "issuer"], {
        code: "conflict",
        message: `${issuer} is the issuer of ${other} as well, and nobody knows whose token it is`,
        expected: "an issuer of its own for each provider",
      });
    if (issuer !== undefined) issuers.set(issuer, name);
    if (keys !== undefined) checkKeys(keys, [...at, "keys"], reading);
    for (const [key, values] of [
      ["from", from],
      ["algorithms", algorithms],
    ] as const)
      if (values?.length === 0)
        reading.reportKey([...at, key], {
          code: "conflict",
          message: `${key} is empty, and no token of ${name} can be good`,
          expected: "at least one, or no such key for the default",
        });
  }
}

function checkKeys({ file, url, ca }: Keys, at: readonly string[], reading: Reading): void {
  if ((file === undefined) === (url === undefined))
    reading.reportKey(at, {
      code: "conflict",
      message:
        file === undefined
          ? "nothing says where the keys are"
          : "the keys are in a file and at a URL: one of them is meant",
      expected: "either file or url",
    });
  if (ca !== undefined && url?.startsWith("https:") !== true)
    reading.reportKey([...at, "ca"], {
      code: "no-effect",
      message: "ca has no effect: there is no https URL",
      expected: "an https URL, or no such key",
    });
  if (url?.startsWith("http:") === true && !isLoopback(new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")))
    reading.reportValue([...at, "url"], {
      code: "conflict",
      message: `whoever is on the way to ${url} could give other keys`,
      expected: "an https URL, one on loopback, or a file",
    });
}

function checkRules({ providers, rules }: Jwt, reading: Reading): void {
  for (const [index, rule] of (rules ?? []).entries()) {
    const at = ["jwt", "rules", index];
    for (const key of ["methods", "providers"] as const)
      if (rule[key]?.length === 0)
        reading.reportKey([...at, key], {
          code: "no-effect",
          message: `this rule is for no token: ${key} is empty`,
          expected: "at least one, or no such key for all",
        });
    for (const [position, name] of (rule.providers ?? []).entries())
      if (providers !== undefined && !providers.has(name))
        reading.reportValue([...at, "providers", position], {
          code: "conflict",
          message: `no provider is called ${name}`,
          expected: `one of ${[...providers.keys()].join(", ")}`,
        });
  }
}
