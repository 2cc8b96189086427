import { writeFile } from "node:fs/promises";
import { notYet } from "../src/config/not-yet.ts";
import type { Absent, Plain } from "../src/config/schema/type.ts";
import { schema } from "../src/config/schema.ts";
import { type SchemaKey, walkSchema } from "../src/config/walk.ts";
import { yamlScalar } from "../src/config/yaml-scalar.ts";

const introduction = `# Configuration

<!-- Written by \`node deploy/configuration-reference.ts\` from src/config/schema.ts: change the schema, not this file. -->

One YAML 1.2 file. Without \`-c FILE\` it is \`./outrigger.yaml\`, then \`/etc/outrigger/outrigger.yaml\`; \`-c -\` reads standard
input. Every key is optional unless it says *required*: an empty file is a caller-only sidecar with all defaults.
Examples, each for a purpose, are in [config/](../config/).

| command | tells |
| --- | --- |
| \`outrigger check -c FILE\` | every mistake with its position, or what was understood |
| \`outrigger print -c FILE\` | the effective configuration, each value with where it comes from |
| \`outrigger schema\` | the JSON Schema of the file, for editors |

Unknown keys, wrong types, impossible values and combinations without effect are errors, reported all at once:

\`\`\`
outrigger.yaml:3:3: unknown key "adress" in service
      adress: 127.0.0.1:50051
      ^
  expected one of name, id, address, protocol, idleTimeout, health, healthPath, advertise, tags, meta, bandwidth, adaptiveConcurrency
  did you mean "address"?
\`\`\`

## How values are written

- **Addresses**: \`HOST:PORT\`, \`[v6]:PORT\`, \`:PORT\` (every address of the machine, IPv4 and IPv6) or \`unix:/path\`, everywhere
  alike. An address that starts with \`:\` or \`[\` stands in quotes inside \`{ }\` and \`[ ]\`, one with \`[\` always. A socket that the
  sidecar makes has mode 0600 unless \`?mode=0660\` says otherwise.
- **Durations**: \`250ms\`, \`2s\`, \`10m\`, \`1h\`. A number without a unit is an error, and so is \`1m30s\`: it is \`90s\`.
- **Rates**: \`10/s\`; \`/m\` and \`/h\` are understood too.
- **Words** that YAML 1.1 would read as booleans (\`on\`, \`no\`, ...) are neither keys nor values, so that Helm and other tools cannot
  change them on the way.
- **Names** of services are in lower case, since \`:authority\` is read in lower case.

## Variables

\`\${NAME}\` is replaced by the environment variable, \`\${NAME:-default}\` by the default where the variable is unset or empty, and
\`$\${\` is a literal \`\${\`. That happens after the YAML is read, inside strings only and never in keys, so that a value cannot
add keys and positions stay those of the file. A scalar that is wholly one \`\${...}\` is then read by its key's type
(\`workers: \${WORKERS:-1}\`); an optional value that becomes empty counts as absent; a variable that is not set and has no
default is an error at its position. Inside \`{ }\` and \`[ ]\` a \`\${...}\` stands in quotes, as YAML wants it.

## What does not go together

Each of these is an error at the place of the value that is wrong or has no effect:

- two listeners on one address, or a \`service.address\` that is a listener of this sidecar;
- an upstream with static discovery and no endpoints, or with endpoints and another discovery; one with dns discovery and no
  \`dns\`, or with \`dns\` and another discovery; a \`dns\` with a name and an srv, or with a name and no port;
- a source that an upstream or \`discovery.default\` names and that is not configured; several sources without
  \`discovery.default\`; a \`discovery.cache\` with static discovery alone;
- a host of two upstreams, or one that is the name of another upstream;
- \`service.advertise\`, \`tags\`, \`meta\` and \`id\` where the default source is static or dns, which register
  nothing; \`names.onDemand\` where it is one of them, which look nothing up; \`listeners.inbound\` without a service. The defaults
  themselves may be spelled out, so that what \`outrigger print\` writes can be read again;
- an advertised loopback address, or an inbound one that would be advertised, with a Consul agent that is elsewhere; a unix
  socket as inbound listener where nothing else is advertised;
- two rate limits of one name; one without a \`limit\` or a \`service\` that says it; keys of Redis with \`store: memory\`, a \`burst\` with
  windows, keys of counting with a \`service\`; an inbound one without a service, or with \`match.upstream\`;
- an \`initial\` of \`adaptiveConcurrency\` that is not between its \`min\` and \`max\`; several \`workers\` and a listener for calls that is
  a unix socket, or a \`capture\`;
- a token and a tokenFile; \`tls\` for an address that is not https; a certificate without its key.
`;

/** The whole page. */
export function configurationReference(): string {
  const keys = walkSchema(schema);
  const parts = keys.filter(({ pattern }) => !pattern.includes(".")).map((key) => topLevel(key, keys));
  return `${introduction}\n## Keys\n${parts.join("")}${comingPart()}`;
}

function topLevel(top: SchemaKey, keys: readonly SchemaKey[]): string {
  const below = keys.filter(({ pattern }) => pattern.startsWith(`${top.pattern}.`));
  const rows = below
    .filter(({ field: { type } }) => type.shape.kind !== "object" || hasAbsentText(type, below))
    .map(row);
  const { doc, absent } = top.field;
  const note = absent.kind === "undefined" ? ` Without it: ${absent.text}.` : "";
  if (below.length === 0) return `\n### ${top.key}\n\n${doc}\n\n${table([row(top)])}`;
  return `\n### ${top.key}\n\n${doc}${note}\n\n${table(rows)}`;
}

/** A mapping that may be left out is a row of its own; one that only groups others is not. */
function hasAbsentText(type: unknown, keys: readonly SchemaKey[]): boolean {
  return keys.some(({ field }) => field.type === type && field.absent.kind === "undefined");
}

function table(rows: readonly string[]): string {
  return `| key | value | default | |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

function row({ pattern, field: { type, doc, absent } }: SchemaKey): string {
  const name = `\`${pattern.replace("*", "NAME")}\``;
  const value = type.shape.kind === "object" ? "a mapping" : type.label;
  return `| ${[name, cell(value), defaultText(absent, (content) => type.write(content)), cell(doc)].join(" | ")} |`;
}

function defaultText(absent: Absent<unknown>, write: (content: string | number | object) => Plain): string {
  switch (absent.kind) {
    case "error":
      return "*required*";
    case "undefined":
      return cell(absent.text);
    case "value":
      return `\`${flow(write(absent.value))}\``;
    case "empty":
      return "";
  }
}

function flow(value: Plain): string {
  if (Array.isArray(value)) return `[${value.map((item: Plain) => flow(item)).join(", ")}]`;
  if (typeof value === "object" && value !== null) return "{}";
  return yamlScalar(typeof value === "object" ? null : value);
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function comingPart(): string {
  const rows = notYet.map(({ key, words }) => {
    const what = words?.map((word) => `\`${word}\``).join(", ") ?? "all of it";
    return `| \`${key.replace("*", "NAME")}\` | ${what} |`;
  });
  return `
## Not yet supported

Names and words that are part of the configuration and that this version answers with \`not yet supported\`:

| key | |
| --- | --- |
${rows.join("\n")}
`;
}

if (import.meta.main) await writeFile(new URL("../docs/configuration.md", import.meta.url), configurationReference());
