// gRPC's interoperability tests between public clients and servers, plain HTTP/2, and two user services of one interface with
// callers of each; directly, through one sidecar, and through two in plaintext and by TLS:
//   node test/interop/interop.ts
// Prints a table of every case of every pair; exits 1 where one was not passed or did not look like the direct one.
import { h2Pairs } from "./h2-pairs.ts";
import { pairs, type Row, runPair, verdict } from "./pairs.ts";
import { userPairs } from "./user-pairs.ts";

let bad = 0;
for (const [client, server] of [...pairs, ...h2Pairs, ...userPairs]) {
  const started = performance.now();
  const rows = await runPair(client, server);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`\n${client.name} -> ${server.name} (${seconds} s)\n`);
  for (const row of rows) process.stdout.write(`${line(row)}\n`);
}
process.exitCode = bad === 0 ? 0 : 1;

function line(row: Row): string {
  const { name, direct, one, two, secured } = row;
  const why = verdict(row);
  if (why !== undefined) bad++;
  const cell = (result: { readonly seen: string; readonly fault: string | undefined }): string =>
    result.fault !== undefined ? "FAILED" : result.seen === direct.seen ? "passed" : "OTHER";
  const cells = [`direct ${cell(direct)}`, `one ${cell(one)}`, `two ${cell(two)}`, `secured ${cell(secured)}`];
  return `  ${name.padEnd(30)} ${cells.map((text) => text.padEnd(14)).join(" ")}${why === undefined ? "" : `\n    ${why}`}`;
}
