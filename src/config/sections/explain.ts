import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { text } from "../schema/text.ts";
import { preset } from "../schema/type.ts";
import { none } from "./defaults.ts";

const caller = text({
  noun: "a caller",
  label: "application, or spiffe://DOMAIN/PATH in which * stands for any part between slashes",
  pattern: "^(application|spiffe://[^ ]+)$",
  parse(written) {
    if (written === "application" || /^spiffe:\/\/[a-z0-9._*-]+(\/[A-Za-z0-9._*-]+)*$/.test(written))
      return parsed(written);
    return refused(`${quote(written)} is neither application nor a SPIFFE id`);
  },
  write: (value) => value,
});

/** `explain` */
export const explain = object({
  calls: preset(
    integer({ min: 16, max: 1_048_576 }),
    4096,
    "How many of the last calls can be explained: some 700 octets each. A change forgets those before it.",
  ),
  callers: preset(
    list(caller),
    none,
    "Who reads an explanation in the answer, in its trailers if it has some, by sending outrigger-explain: 1. application: the one " +
      "beside this sidecar, of its own calls. People ask the admin listener and need no entry.",
  ),
});
