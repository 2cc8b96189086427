import { type AdminReply, askAdmin } from "../control/admin-client.ts";
import type { Explanation } from "../observability/explain/explanation.ts";
import type { ExplainedCall } from "../observability/explain/explanations.ts";
import { adminOptions, adminTarget } from "./admin-client.ts";
import { type Command, Exit, UsageError } from "./command.ts";
import { configOption, jsonOption } from "./config-file.ts";

/** `outrigger explain`. */
export const explainCommand: Command = {
  summary: "why a call went as it did, asked of a running sidecar; without an id its last calls",
  options: {
    config: configOption,
    ...adminOptions,
    failed: { doc: "without an id: only calls that did not end with OK" },
    json: jsonOption,
  },
  words: "[CALL-ID | TRACE-ID]",
  async run(input) {
    const [id, more] = input.words;
    if (more !== undefined) throw new UsageError("outrigger explain takes one id");
    const query = id === undefined ? (input.has("failed") ? "?failed" : "") : `?id=${encodeURIComponent(id)}`;
    let reply: AdminReply;
    try {
      reply = await askAdmin(adminTarget(input), `/explain${query}`);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      return complain(error instanceof Error ? error.message : String(error));
    }
    if (input.has("json")) {
      process.stdout.write(reply.body);
      return reply.status === 200 ? Exit.OK : Exit.FAILED;
    }
    const answer: Answer = JSON.parse(reply.body);
    if (answer.error !== undefined) return complain(answer.error);
    if (answer.calls !== undefined) process.stdout.write(callList(answer.calls));
    process.stdout.write((answer.explanations ?? []).map(explanationPage).join("\n"));
    return Exit.OK;
  },
};

interface Answer {
  readonly error?: string;
  readonly calls?: readonly ExplainedCall[];
  readonly explanations?: readonly Explanation[];
}

function complain(message: string): number {
  process.stderr.write(`outrigger: ${message}\n`);
  return Exit.FAILED;
}

/** The calls of a sidecar, a line each. */
export function callList(calls: readonly ExplainedCall[]): string {
  if (calls.length === 0) return "no call is remembered\n";
  const rows = calls.map(({ id, startedAt, direction, upstream, path, status, reason, durationMs }) => [
    id,
    startedAt,
    direction,
    upstream,
    path,
    `${status ?? "under way"}${reason === null ? "" : ` ${reason}`}`,
    durationMs === null ? "" : `${durationMs} ms`,
  ]);
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}\n`).join("");
}

/** An explanation as a page of text. */
export function explanationPage(call: Explanation): string {
  const lines = [
    `call ${call.id}, ${call.direction}${call.traceId === null ? "" : `, trace ${call.traceId}`}`,
    `  ${call.path}${call.authority === null ? "" : ` to ${call.authority}`}`,
    `  from ${call.peer}${call.identity === null ? "" : `, who is ${call.identity}`}, at ${call.startedAt}`,
    `  ${ending(call)}`,
  ];
  if (call.deadline !== null) lines.push(`  deadline ${call.deadline.ms} ms, set by the ${call.deadline.by}`);
  const phases = Object.entries(call.phases).flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${ms} ms`]));
  if (phases.length > 0) lines.push(`  time: ${phases.join(", ")}`);
  lines.push("");
  if (call.forgotten) lines.push("  (the first decisions are no longer known)");
  for (const { at, text, candidates } of call.steps) {
    lines.push(`  ${`+${at}`.padStart(10)} ms  ${text}`);
    for (const { name, verdict } of candidates ?? []) lines.push(`${" ".repeat(18)}- ${name}: ${verdict}`);
  }
  return `${lines.join("\n")}\n`;
}

function ending({ status, reason, durationMs, upstream, endpoint, attempts }: Explanation): string {
  const where = `${upstream ?? "no upstream"}${endpoint === null ? "" : ` at ${endpoint}`}, attempts: ${attempts}`;
  if (status === null) return `under way; ${where}`;
  return `${status}${reason === null ? "" : ` ${reason}`} after ${durationMs} ms; ${where}`;
}
