import { defaultHandshakeLimits as limits } from "../../identity/handshake-limits.ts";
import { IdPattern, parseSpiffeId } from "../../identity/spiffe.ts";
import { type KeyRule, record } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string, text } from "../schema/text.ts";
import { optional, preset, required, section, type Type } from "../schema/type.ts";
import { duration } from "../schema/units.ts";
import { words } from "../schema/words.ts";

const pemFile = string("a path", " of a PEM file");

const trustDomain: KeyRule = {
  placeholder: "DOMAIN",
  label: "a trust domain such as partner.example",
  pattern: "^[a-z0-9._-]+$",
  parse(key) {
    const id = parseSpiffeId(`spiffe://${key}`);
    return typeof id !== "string" && id.trustDomain === key ? parsed(key) : refused(`${quote(key)} is no trust domain`);
  },
};

/** SPIFFE ids, with `*` for any characters within a part. */
export function idPattern(): Type<string> {
  return text({
    noun: "a SPIFFE id",
    label: 'a SPIFFE id such as "spiffe://*/ns/default/dc/*/svc/orders", in which * is any characters but /',
    pattern: "^spiffe://",
    parse(written) {
      const pattern = IdPattern.parse(written);
      return typeof pattern === "string" ? refused(`${quote(written)} is no SPIFFE id: ${pattern}`) : parsed(written);
    },
    write: (value) => value,
  });
}

/** How TLS is spoken, for the sidecar as for one upstream. */
export const mtlsModes = words(["disabled", "permissive", "strict"]);

/** `mtls` */
export const mtls = object({
  mode: preset(
    mtlsModes,
    "disabled",
    "TLS between sidecars: not at all, with those that take it, or with everybody and nothing else.",
  ),
  source: optional(
    object({
      files: optional(
        object({
          cert: required(pemFile, "The certificate, and behind it those of intermediate authorities."),
          key: required(pemFile, "Its key."),
          ca: required(pemFile, "The authorities of the own trust domain."),
          crl: optional(pemFile, "Lists of revoked certificates, one of each authority.", "nothing is revoked"),
          federated: preset(
            record(trustDomain, pemFile),
            new Map<string, string>(),
            "Authorities of other trust domains, by domain; each speaks for its own only.",
          ),
        }),
        "PEM files, read again as they change.",
        "not used",
      ),
      consul: optional(object({}), "The CA of Consul Connect, through the agent of discovery.consul.", "not used"),
      spiffe: optional(
        object({
          socket: required(string("a path", " such as /run/spire/agent.sock"), "The unix socket of the agent."),
        }),
        "The SPIFFE Workload API, as SPIRE's agent serves it.",
        "not used",
      ),
      development: optional(
        object({
          path: required(string("a path", " of a folder"), "The folder of the authority, made where it is not there."),
        }),
        "An authority for one machine, as outrigger ca makes it. Whoever can read its folder can be anybody.",
        "not used",
      ),
    }),
    "Where the own certificate and the authorities come from: one of files, consul, spiffe and development.",
    "none, which only disabled does without",
  ),
  identity: optional(
    idPattern(),
    "The SPIFFE id that the own certificate has to have.",
    "Consul's form with the name of the service, or identity.name",
  ),
  minVersion: preset(words(["tls12", "tls13"]), "tls13", "The oldest version of TLS that is spoken."),
  rootOverlap: preset(
    duration({ min: 0 }),
    600_000,
    "An authority that the source no longer has is trusted for so long, so that nobody is refused while it is replaced; 0s: not at all.",
  ),
  handshakes: section(
    object({
      atOnce: preset(
        integer({ min: 1, max: 100_000 }),
        limits.atOnce,
        "TLS handshakes under way at once; one more takes the place of the oldest one of the address that has the most.",
      ),
      perSource: preset(
        integer({ min: 1, max: 100_000 }),
        limits.perSource,
        "The same from one address; one more takes the place of its oldest one.",
      ),
      rate: preset(
        integer({ min: 1, max: 100_000 }),
        limits.rate,
        "A second from one address, beyond a burst of twice as many.",
      ),
      strangers: preset(
        integer({ min: 1, max: 100_000 }),
        limits.strangers,
        "A second from all addresses together from which nobody has proven yet who they are, beyond a burst of twice as many.",
      ),
      timeout: preset(duration(), limits.timeout, "How long one may take, from the accepted connection on."),
    }),
    "What callers may ask of the inbound listener before they have proven who they are.",
  ),
});
