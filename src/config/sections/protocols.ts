import { type KeyRule, record } from "../schema/collections.ts";
import { parsed, quote, refused } from "../schema/parsed.ts";
import { words } from "../schema/words.ts";

const port: KeyRule = {
  placeholder: "PORT",
  label: "a port",
  pattern: "^[0-9]{1,5}$",
  parse(key) {
    const isPort = /^[1-9][0-9]{0,4}$/.test(key) && Number(key) <= 65_535;
    return isPort ? parsed(key) : refused(`${quote(key)} is no port`);
  },
};

/** `protocols` */
export const protocols = record(port, words(["http2", "http1", "tls", "tcp"]));
