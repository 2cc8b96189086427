import { parsed, quote, refused } from "./parsed.ts";
import { text } from "./text.ts";
import type { Type } from "./type.ts";

/** Where counts are kept: `memory`, or the URL of a Redis. A password in it is never shown again. */
export function storeUrl(): Type<string> {
  return text({
    noun: "a store",
    label: "memory, or a URL such as redis://127.0.0.1:6379/0 or rediss://user:password@redis.example:6380",
    pattern: "^(memory|rediss?://.*)$",
    parse(written) {
      if (written === "memory") return parsed(written);
      const url = URL.canParse(written) ? new URL(written) : undefined;
      if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:")) {
        const likely = `redis://${written}`;
        const isAddress = !written.includes("://") && /:[0-9]+$/.test(written) && URL.canParse(likely);
        return refused(`${quote(written)} is no store`, isAddress ? likely : undefined);
      }
      if (url.hostname === "") return refused(`${quote(written)} names no host`);
      if (!/^\/?[0-9]*$/.test(url.pathname))
        return refused(`${quote(written)} has a path that is no number of a database`);
      // Redis' client would take a password from a query as well.
      if (url.search !== "" || url.hash !== "") return refused("a store's URL ends with the number of its database");
      return parsed(written);
    },
    write: withoutPassword,
  });
}

/** The URL with `***` where it has a password. */
function withoutPassword(url: string): string {
  // A password may have any character in it, rightly or not: it ends at the last @.
  return url.replace(/^(\w+:\/\/[^:@/]*:).*@/, "$1***@");
}
