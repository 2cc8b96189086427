import { entriesIn, field, listIn } from "../../../core/json-field.ts";
import type { ChainEdits } from "./chain.ts";

/** Nothing is changed. */
export const noEdits: ChainEdits = { set: new Map(), add: new Map(), remove: [] };

/** RFC 9110 §5.6.2, in lower case as HTTP/2 has it. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** RFC 9110 §5.5, without what is not ASCII. */
const VALUE = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;
/** What the protocol or the sidecar says with it is nobody else's. */
const OWN =
  /^(?:grpc-|outrigger-)|^(?:te|host|connection|content-type|transfer-encoding|upgrade|keep-alive|proxy-connection)$/;

/** `RequestHeaders` or `ResponseHeaders` of a definition. */
export function readEdits(definition: unknown, key: string, refuse: (where: string, why: string) => void): ChainEdits {
  const edits = field(definition, key);
  if (typeof edits !== "object" || edits === null) return noEdits;
  const mapping = (what: "Set" | "Add"): ReadonlyMap<string, string> =>
    new Map(
      entriesIn(edits, what).flatMap(([written, value]): [string, string][] => {
        const name = written.toLowerCase();
        const problem = nameProblem(name) ?? valueProblem(value);
        if (problem === undefined) return [[name, String(value).replaceAll("%%", "%")]];
        refuse(`${key}.${what}.${written}`, problem);
        return [];
      }),
    );
  const remove = listIn(edits, "Remove").flatMap((written, at) => {
    const name = String(written).toLowerCase();
    const problem = nameProblem(name);
    if (problem === undefined) return [name];
    refuse(`${key}.Remove[${at}]`, problem);
    return [];
  });
  return { set: mapping("Set"), add: mapping("Add"), remove };
}

function nameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return "it is no name of metadata";
  return OWN.test(name) ? `${name} is the protocol's own` : undefined;
}

function valueProblem(value: unknown): string | undefined {
  if (typeof value !== "string" || !VALUE.test(value)) return "it is no value of metadata";
  return /%/.test(value.replaceAll("%%", "")) ? "what stands between percent signs is known to Envoy only" : undefined;
}
