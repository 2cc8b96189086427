import { parse } from "yaml";

/**
 * A string or number as YAML: without quotes only where YAML 1.1 and 1.2, in a block and in a list alike, read the same
 * back.
 */
export function yamlScalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const plain = /^[A-Za-z0-9_/.][A-Za-z0-9_/.+%-]*(:\/?\/?[A-Za-z0-9_/.+%-]+)*$/.test(value);
  return plain && isItself(value, "1.1") && isItself(value, "1.2") ? value : JSON.stringify(value);
}

function isItself(value: string, version: "1.1" | "1.2"): boolean {
  const read: unknown = parse(value, { version });
  return read === value;
}
