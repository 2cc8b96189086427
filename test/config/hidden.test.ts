import assert from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../src/config/check-text.ts";
import { printConfig } from "../../src/config/print.ts";

const SECRET = "hunter2hunter2hunter2";

/** A secret, or something that was meant to be one, as it may stand in a file. */
const forms: readonly string[] = [
  SECRET,
  `"${SECRET}"`,
  `'${SECRET}'`,
  `"${SECRET}`,
  `'${SECRET}`,
  `"${SECRET}\\q"`,
  `"a \\"${SECRET}"`,
  `'it''s ${SECRET}'`,
  `two words ${SECRET}`,
  `!${SECRET}`,
  `*${SECRET}`,
  `&${SECRET}`,
  `&a ${SECRET}`,
  `@${SECRET}`,
  `%${SECRET}`,
  `\`${SECRET}\``,
  `|${SECRET}`,
  `[${SECRET}]`,
  `[${SECRET}`,
  `{ ${SECRET}: 1 }`,
  `{ a: ${SECRET} }`,
  `{ ${SECRET}`,
  `${SECRET}: 1`,
  `a: ${SECRET}`,
  `- ${SECRET}`,
  `? ${SECRET}`,
  `\${${SECRET}`,
  `\${${SECRET}-}`,
  `\${X-${SECRET}}`,
  `\${X:=${SECRET}}`,
  `\${X:-${SECRET}} y`,
  `\${ENV} z`,
  `${SECRET}\u0007`,
  `"${SECRET}\u0007"`,
  `\t${SECRET}`,
  `${SECRET} # and ${SECRET}`,
  `!!binary ${SECRET}`,
  `!!int ${SECRET}`,
  `!!seq ${SECRET}`,
];
/** Over several lines, behind so many spaces. */
const blocks: readonly ((indent: string) => string)[] = [
  (indent) => `|\n${indent}${SECRET}\n${indent}second`,
  (indent) => `>-\n${indent}${SECRET}`,
  (indent) => `"first\n${indent}${SECRET}"`,
  (indent) => `"first\n${indent}${SECRET}`,
  (indent) => `first\n${indent}${SECRET}`,
  (indent) => `\n${indent}${SECRET}: 1`,
  (indent) => `\n${indent}- ${SECRET}`,
  (indent) => `\n${indent}${SECRET}`,
];

/** Files with one secret each; what stands behind it is wrong, so that there is something to tell. */
const places: Readonly<Record<string, (secret: string) => string>> = {
  "discovery.consul.token": (secret) => `discovery:\n  consul:\n    token: ${secret}\n    wrong: 1\n`,
  "admin.token": (secret) => `admin:\n  token: ${secret}\n  wrong: 1\n`,
  "tracing.headers": (secret) => `tracing:\n  otlp: http://a:1\n  headers:\n    api-key: ${secret}\n    Wrong: a\n`,
  "authorization.external.metadata": (secret) =>
    `service: { name: a, address: ":1" }\nauthorization:\n  external:\n    metadata:\n      authorization: ${secret}\n      Wrong: a\n`,
  "a misspelt token": (secret) => `discovery:\n  consul:\n    tokne: ${secret}\n`,
  "misspelt headers": (secret) => `tracing:\n  otlp: http://a:1\n  haeders:\n    api-key: ${secret}\n`,
  "a token in a misspelt place": (secret) => `discovery:\n  cosnul:\n    token: ${secret}\n`,
  "a token beyond the schema": (secret) => `discovery:\n  vault:\n    access_token: ${secret}\n`,
  "a duplicate token": (secret) => `admin:\n  token: ${secret}\n  token: ${secret}\n`,
};

/** The same on one line with its mistakes. */
const lines: Readonly<Record<string, (secret: string) => string>> = {
  "discovery.consul.token": (secret) => `discovery: { consul: { wrong: 1, token: ${secret}, address: 7 } }\n`,
  "tracing.headers": (secret) => `tracing: { otlp: 7, headers: { Wrong: a, api-key: ${secret} }, sampling: 200% }\n`,
  "authorization.external.metadata": (secret) =>
    `authorization: { external: { onFailure: 7, metadata: { Wrong: a, authorization: ${secret} } } }\n`,
};

function outputs(text: string): string {
  const options = { file: "a.yaml", env: { ENV: SECRET } };
  return [
    checkText(text, { ...options, json: false }).output,
    checkText(text, { ...options, json: true }).output,
    printConfig(text, { ...options, json: false }).output,
    printConfig(text, { ...options, json: true }).output,
  ].join("\n");
}

function shows(text: string): boolean {
  // A part of it, as a message might quote it, is as bad.
  return /unter2/.test(outputs(text));
}

test("whatever is wrong with a file, and wherever, a secret is shown neither in messages nor in the lines beside them", () => {
  const found: string[] = [];
  let told = 0;
  const look = (text: string): void => {
    if (shows(text)) found.push(`${text}\n---\n${outputs(text)}`);
    if (!checkText(text, { file: "a.yaml", env: { ENV: SECRET }, json: false }).ok) told++;
  };
  for (const place of Object.values(places)) {
    for (const form of forms) look(place(form));
    for (const block of blocks) look(place(block("        ")));
  }
  for (const line of Object.values(lines)) for (const form of forms) look(line(form));
  assert.equal(found.length, 0, `${found.length} files of ${told}:\n${found.slice(0, 3).join("\n=====\n")}`);
  assert.ok(told > 400, `${told} files were told to be wrong`);
});

test("a password in a URL is shown nowhere, whatever characters it has", () => {
  for (const password of [
    SECRET,
    `a@${SECRET}`,
    `${SECRET}@b`,
    `a:${SECRET}`,
    `a%2F${SECRET}`,
    `${SECRET}/x`,
    `a b${SECRET}`,
  ])
    for (const url of [
      `redis://:${password}@127.0.0.1:6379/0`,
      `rediss://user:${password}@redis.example:6380`,
      `redis://user:${password}@redis.example/none`,
      `redis://user:${password}@`,
      `http://user:${password}@redis.example`,
    ])
      for (const quoted of [url, `"${url}"`]) {
        const limit = `rateLimits: [{ name: a, limit: 1/s, store: ${quoted} }]\nservice: { name: a, address: "127.0.0.1:1" }\n`;
        const consul = `discovery: { consul: { address: ${quoted} } }\n`;
        const traced = `tracing: { otlp: ${quoted} }\n`;
        for (const text of [limit, consul, traced]) assert.ok(!shows(text), outputs(text));
      }
});
