import { ALGORITHMS } from "../../identity/jwt/algorithms.ts";
import { fieldNameType, metadataName, methodPattern } from "../schema/calls.ts";
import { type KeyRule, list, record } from "../schema/collections.ts";
import { httpUrl, parseServiceName, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string, text } from "../schema/text.ts";
import { optional, preset, required, type Type } from "../schema/type.ts";
import { duration } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

/** Claims by name, as keys. */
export const claimName: KeyRule = {
  placeholder: "CLAIM",
  label: "a claim such as sub, or realm_access.roles for one within another",
  pattern: "^[\\x21-\\x7e]+$",
  parse: (key) => (/^[\x21-\x7e]{1,256}$/.test(key) ? parsed(key) : refused(`${quote(key)} is no name of a claim`)),
};

const providerName: KeyRule = {
  placeholder: "NAME",
  label: serviceName().label,
  pattern: "^[a-z0-9_.-]+$",
  parse: parseServiceName,
};

/** What stands in front of a token; its space at the end is a part of it. */
function prefix(): Type<string> {
  return text({
    noun: "a prefix",
    label: 'what stands in front of the token, such as "Bearer "',
    parse: (written) => (/^[\x20-\x7e]*$/.test(written) ? parsed(written) : refused(`${quote(written)} is no prefix`)),
    write: (value) => value,
  });
}

const provider = object({
  issuer: required(string("an issuer", " such as https://accounts.example"), "What iss of its tokens is, exactly."),
  audiences: required(
    list(string("an audience")),
    "A token has to be for one of them (aud). [] takes tokens that are for anybody, those for other services among them.",
  ),
  keys: required(
    object({
      file: optional(string("a path", " of a JSON file"), "Its key set (JWKS), read again as it changes.", "not used"),
      url: optional(
        httpUrl("path"),
        "Where its key set (JWKS) is: over https, or on loopback. Redirections are not followed.",
        "not used",
      ),
      refresh: preset(
        duration({ min: 1000 }),
        300_000,
        "How often the URL is asked, and no more often for unknown keys than every 10s.",
      ),
      timeout: preset(duration(), 2000, "How long an answer of the URL may take."),
      ca: optional(string("a path", " of a PEM file"), "The authorities of the URL.", "those that Node knows"),
    }),
    "Its public keys: one of file and url. The last good ones stay while others cannot be had.",
  ),
  algorithms: preset(
    list(words(ALGORITHMS)),
    ALGORITHMS,
    "Algorithms that are accepted. All are asymmetric: whoever verifies by a shared secret could sign as well.",
  ),
  clockSkew: preset(duration({ min: 0, max: 300_000 }), 30_000, "By how much clocks may differ, for exp and nbf."),
  from: preset(
    list(
      object({
        metadata: required(fieldNameType(), "The field that it is in."),
        prefix: preset(prefix(), "", "What stands in front of it there, upper and lower case alike."),
      }),
    ),
    [{ metadata: "authorization", prefix: "Bearer " }],
    "Where tokens are. A call with several, or with such a field twice, is refused.",
  ),
  toApplication: preset(
    words(["forward", "strip"]),
    "strip",
    "Whether the application gets the token, or it is taken away.",
  ),
  claims: preset(
    record(metadataName, string("a claim", " such as sub, or realm_access.roles for one within another")),
    new Map<string, string>(),
    "What the application is told, by field: the claim of each. Such fields that a caller sends are taken away from every call. Several values have commas between them; what is no visible ASCII is percent-encoded, as in grpc-message.",
  ),
});

/** `jwt` */
export const jwt = object({
  providers: required(record(providerName, provider), "Whose tokens are believed, by name."),
  rules: preset(
    list(
      object({
        methods: optional(
          list(methodPattern()),
          "Which calls it is for; `*` are all, health checks among them.",
          "every method",
        ),
        need: required(
          words(["required", "optional", "ignored"]),
          "Whether a call needs a token. An optional one has to be good where it is there; an ignored one is not looked at.",
        ),
        providers: optional(list(serviceName("a provider")), "Whose tokens count.", "those of all"),
      }),
    ),
    none,
    "Which calls need a token. The first rule that is for a call counts; a call that none is for needs one.",
  ),
});
