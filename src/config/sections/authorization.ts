import { metadataName, methodPattern } from "../schema/calls.ts";
import { list, record } from "../schema/collections.ts";
import { network, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string, text } from "../schema/text.ts";
import { optional, preset, required, type Type } from "../schema/type.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";
import { externalAuthorization } from "./external-authorization.ts";
import { claimName } from "./jwt.ts";
import { idPattern } from "./mtls.ts";

const form = /^[a-z0-9_.*-]{1,128}$/;

/** Services, with `*` for any characters. */
function servicePattern(): Type<string> {
  return text({
    noun: "a pattern of services",
    label: 'a pattern of services such as orders or "billing-*"',
    pattern: "^[a-z0-9_.*-]+$",
    parse(written) {
      if (form.test(written)) return parsed(written);
      const lower = written.toLowerCase();
      return refused(`${quote(written)} is no pattern of services`, form.test(lower) ? lower : undefined);
    },
    write: (value) => value,
  });
}

/** How far a decision goes. */
const modes = words(["enforce", "shadow"]);

const rule = object({
  name: required(serviceName("a name"), "How the rule is called in logs, metrics and explanations."),
  mode: preset(modes, "enforce", "A rule in shadow decides nothing; what it would change is counted and logged."),
  identities: optional(
    list(idPattern()),
    "The SPIFFE ids of callers. Plaintext has none and is never meant; together with services one condition.",
    "any caller",
  ),
  services: optional(
    list(servicePattern()),
    "Callers by service: Consul's form of the id, in the own trust domain and namespace.",
    "any caller",
  ),
  methods: optional(list(methodPattern()), "Which methods; `*` are all, health checks among them.", "every method"),
  metadata: preset(
    record(metadataName, string("a value", ', or "*" for any')),
    new Map<string, string>(),
    "Fields that the call has to have, each with its value. Of a field that comes twice, allow wants all values right and deny any.",
  ),
  claims: preset(
    record(claimName, string("a value", ', or "*" for any')),
    new Map<string, string>(),
    "What the call's verified token has to say, each claim with its value, or a list with it among others; see jwt.",
  ),
  addresses: optional(
    list(network()),
    "Networks that the caller's connection comes from. Addresses can be forged and shared: they are no identity.",
    "anywhere",
  ),
});

/** `authorization` */
export const authorization = object({
  default: optional(
    words(["deny", "allow"]),
    "What becomes of a call that no rule and no intention is for.",
    "deny; with intentions what Consul says of such calls",
  ),
  intentions: optional(
    words(["consul"]),
    "Whose intentions count beside the rules: those for service.name in the agent of discovery.consul. Until it has answered, every call is refused with AUTHZ_UNKNOWN.",
    "nobody's",
  ),
  mode: preset(modes, "enforce", "In shadow nothing is refused; what would be is counted and logged."),
  openCalls: preset(
    words(["finish", "end"]),
    "finish",
    "Calls under way that changed rules would refuse: they may finish, or end with AUTHZ_DENIED or NO_IDENTITY.",
  ),
  deny: preset(list(rule), none, "A rule that is for a call refuses it, whatever allow says."),
  allow: preset(list(rule), none, "A rule that is for a call lets it in, where default is deny."),
  external: optional(
    externalAuthorization,
    "A service of Envoy's protocol envoy.service.auth.v3 that decides about calls which the rules let in.",
    "the rules alone decide",
  ),
});
