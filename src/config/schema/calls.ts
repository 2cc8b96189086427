import type { KeyPart } from "../../limits/call-key.ts";
import type { KeyRule } from "./collections.ts";
import { parsed, quote, refused } from "./parsed.ts";
import { text } from "./text.ts";
import type { Type } from "./type.ts";

const method = /^[A-Za-z_][A-Za-z0-9_.]*\/(\*|[A-Za-z_][A-Za-z0-9_]*)$/;
/** gRPC's rule for the names of metadata, in lower case as HTTP/2 has them. */
const fieldName = /^[a-z0-9_.-]{1,128}$/;

/** Which methods a setting is for. */
export function methodPattern(): Type<string> {
  return text({
    noun: "a pattern of methods",
    label: 'a pattern of methods: "*", user.v1.UserService/* or user.v1.UserService/GetUser',
    pattern: "^(\\*|[A-Za-z0-9_.]+/(\\*|[A-Za-z0-9_]+))$",
    parse(written) {
      if (written === "*" || method.test(written)) return parsed(written);
      const bare = written.replace(/^\//, "");
      const suggestion = [bare, `${bare}/*`].find((candidate) => candidate !== written && method.test(candidate));
      return refused(`${quote(written)} is no pattern of methods`, suggestion);
    },
    write: (value) => value,
  });
}

/** Names of metadata as keys. */
export const metadataName: KeyRule = {
  placeholder: "NAME",
  label: "the name of a metadata field in lower case, such as x-tenant",
  pattern: "^[a-z0-9_.-]+$",
  parse(key) {
    if (fieldName.test(key)) return parsed(key);
    const lower = key.toLowerCase();
    return refused(`${quote(key)} is no name of a metadata field`, fieldName.test(lower) ? lower : undefined);
  },
};

/** The name of a metadata field as a value. */
export function fieldNameType(): Type<string> {
  return text({
    noun: "the name of a metadata field",
    label: metadataName.label,
    pattern: metadataName.pattern,
    parse: (written) => metadataName.parse(written),
    write: (value) => value,
  });
}

/** The name of a metadata field, or with `*` at its end how names begin. */
export function fieldNamePattern(): Type<string> {
  const form = /^([a-z0-9_.-]{1,128}|[a-z0-9_.-]{0,127}\*)$/;
  return text({
    noun: "a pattern of metadata fields",
    label: 'a pattern of metadata fields: authorization, "x-*", or "*" for all',
    pattern: "^[a-z0-9_.-]*\\*?$",
    parse(written) {
      if (form.test(written)) return parsed(written);
      const lower = written.toLowerCase();
      return refused(`${quote(written)} is no pattern of metadata fields`, form.test(lower) ? lower : undefined);
    },
    write: (value) => value,
  });
}

const keyWords: readonly string[] = ["method", "upstream", "identity", "remote.address"] satisfies KeyPart[];

/** What tells calls apart. */
export function keyPart(): Type<KeyPart> {
  return text({
    noun: "a part of a call",
    label: `one of ${keyWords.join(", ")} or metadata.NAME`,
    pattern: `^(${keyWords.join("|").replaceAll(".", "\\.")}|metadata\\.[a-z0-9_.-]+)$`,
    parse(written) {
      if (isKeyPart(written)) return parsed(written);
      const near = [`metadata.${written}`, written.toLowerCase(), `remote.${written}`].find(
        (candidate) => candidate !== written && isKeyPart(candidate),
      );
      return refused(`${quote(written)} is no part of a call`, written === "address" ? "remote.address" : near);
    },
    write: (value) => value,
  });
}

function isKeyPart(written: string): written is KeyPart {
  return keyWords.includes(written) || (written.startsWith("metadata.") && fieldName.test(written.slice(9)));
}
