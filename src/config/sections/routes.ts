import { fieldNameType, keyPart, metadataName, methodPattern } from "../schema/calls.ts";
import { list, record } from "../schema/collections.ts";
import { serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { string } from "../schema/text.ts";
import { optional, preset, required, section } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";
import { retry } from "./retry.ts";

/** Fields that are the protocol's own, and those in the sidecar's name. */
const OWN = /^(te|content-type|content-length|host|connection|transfer-encoding|upgrade|grpc-.*|outrigger-.*)$/;

const editedField: typeof metadataName = {
  ...metadataName,
  parse(key) {
    const result = metadataName.parse(key);
    if (result.kind === "value" && OWN.test(key)) return refused(`${quote(key)} is not for routes to change`);
    return result.kind === "value" ? parsed(key) : result;
  },
};

const fields = () => preset(record(editedField, string("a value")), new Map<string, string>(), "Name and value.");

const edits = object({
  set: { ...fields(), doc: "Fields that have this value, whatever they had." },
  add: { ...fields(), doc: "Fields that are added beside what there is." },
  remove: preset(list(string("the name of a field")), none, "Fields that are taken out."),
});

/** An item of `routes` */
export const route = object({
  name: required(serviceName("a name"), "How it is called in explanations and metrics."),
  upstream: required(serviceName(), "Whose calls it is for, by listener, host or name; a declared one."),
  match: section(
    object({
      method: preset(methodPattern(), "*", "Which methods; health checks are not among `*`."),
      metadata: preset(
        record(metadataName, string("a value", ', or "*" for any')),
        new Map<string, string>(),
        "Fields that the call has to have, each with its value.",
      ),
    }),
    "Which of them: those that no route above it matches, and that have all of this.",
  ),
  to: optional(serviceName(), "Another upstream that they go to.", "upstream"),
  split: preset(
    list(
      object({
        to: required(serviceName(), "An upstream."),
        share: required(percent(), "Its share; all of them sum to 100%."),
      }),
    ),
    none,
    "Several upstreams that share them, instead of to.",
  ),
  stickyBy: optional(keyPart(), "Calls with the same value of it take the same way of the split.", "at random"),
  mirror: optional(
    object({
      to: required(serviceName(), "An upstream that gets a copy; its answers are thrown away."),
      share: preset(percent(), 1, "Of how many of them."),
      compare: preset(
        words(["none", "status", "messages", "metadata"]),
        "none",
        "How far the answers of the copies are compared with those that callers get: not at all, by status, by the octets of their messages as well, or by metadata and trailers as well. Differences are counted and told, never what stood in them.",
      ),
      ignore: preset(
        list(fieldNameType()),
        none,
        "Metadata that may differ, with compare: metadata; date, server, via, age, load reports and trace contexts always may.",
      ),
    }),
    "Copies that nobody waits for: at most 100 at once, each dropped when it is 256KiB behind.",
  ),
  request: section(edits, "What is done to the metadata of the request."),
  response: section(edits, "What is done to the first metadata of the answer."),
  timeout: optional(duration(), "Instead of the upstream's."),
  retry: optional(retry, "Instead of the upstream's; the budget is the upstream's.", "the upstream's"),
});
