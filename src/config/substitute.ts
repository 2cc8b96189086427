import type { Substitution } from "./tree.ts";

/** A `${` that could not be replaced, at its offset in the text that was given. */
export interface SubstitutionProblem {
  readonly offset: number;
  readonly message: string;
  readonly expected: string;
  readonly suggestion: string | undefined;
}

/** The text with its variables, or what is wrong with them. */
export type SubstitutionResult =
  | { readonly kind: "done"; readonly text: string; readonly substitution: Substitution }
  | { readonly kind: "failed"; readonly problems: readonly SubstitutionProblem[] };

const form = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/;

/**
 * Replaces `${NAME}` and `${NAME:-default}` by the variables of `env`, and `$${` by a literal `${`. As in a shell, the
 * default also stands in for a variable that is set but empty. What a variable holds is not looked at again.
 */
export function substitute(text: string, env: Readonly<Record<string, string | undefined>>): SubstitutionResult {
  const problems: SubstitutionProblem[] = [];
  const names: string[] = [];
  let result = "";
  let at = 0;
  for (let next = text.indexOf("${"); next >= 0; next = text.indexOf("${", at)) {
    if (next > at && text[next - 1] === "$") {
      result += `${text.slice(at, next - 1)}\${`;
      at = next + 2;
      continue;
    }
    result += text.slice(at, next);
    const match = form.exec(text.slice(next));
    if (match === null) {
      problems.push(malformed(text.slice(next), next));
      at = next + 2;
      continue;
    }
    const [whole, name = "", fallback] = match;
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value !== undefined && (value !== "" || fallback === undefined)) {
      result += value;
      names.push(name);
    } else if (fallback !== undefined) {
      result += fallback;
    } else {
      problems.push({
        offset: next,
        message: `the environment variable ${name} is not set`,
        expected: `${name} in the environment, or a default behind it`,
        suggestion: `\${${name}:-default}`,
      });
    }
    at = next + whole.length;
  }
  if (problems.length > 0) return { kind: "failed", problems };
  const whole = form.exec(text)?.[0] === text;
  return { kind: "done", text: result + text.slice(at), substitution: { names, whole } };
}

function malformed(rest: string, offset: number): SubstitutionProblem {
  const expected = `\${NAME} or \${NAME:-default}; a literal \${ is written $\${`;
  const end = rest.indexOf("}");
  if (end < 0) return { offset, message: `a \${ without its }`, expected, suggestion: undefined };
  const inner = rest.slice(2, end);
  const shell = /^([A-Za-z_][A-Za-z0-9_]*)(?:-|:=|=|:)(?!-)([^}]*)$/.exec(inner);
  const suggestion = shell === null ? undefined : `\${${shell[1] ?? ""}:-${shell[2] ?? ""}}`;
  return { offset, message: `${JSON.stringify(rest.slice(0, end + 1))} names no variable`, expected, suggestion };
}
