/** What has to stand behind a backslash in JavaScript's strict syntax, too. */
const SYNTAX = new Set("^$\\.*+?()[]{}|/-");

/**
 * A regular expression that matches a whole text, as Envoy means it. Consul writes the syntax of RE2, which names groups and
 * writes escapes and flags in other ways than JavaScript; what has no equal there is refused. A string says why.
 */
export function wholeRegExp(source: string, ignoreCase: boolean): RegExp | string {
  const [, flags = "", rest = source] = /^\(\?([is]+)\)(.*)$/s.exec(source) ?? [];
  const translated = rest
    .replaceAll("(?P<", "(?<")
    .replaceAll(/\\([^A-Za-z0-9\s])/g, (whole, sign: string) =>
      SYNTAX.has(sign) && sign !== "-" ? whole : `\\x${sign.charCodeAt(0).toString(16).padStart(2, "0")}`,
    )
    .replaceAll("\\A", "^")
    .replaceAll("\\z", "$");
  try {
    // Strict: an escape that JavaScript does not know is an error, and no other letter.
    return new RegExp(`^(?:${translated})$`, [...new Set(`${flags}u${ignoreCase ? "i" : ""}`.split(""))].join(""));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
