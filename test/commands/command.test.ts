import assert from "node:assert/strict";
import { test } from "node:test";
import { caCommand } from "../../src/commands/ca.ts";
import { checkCommand } from "../../src/commands/check.ts";
import { type Command, readInput, UsageError } from "../../src/commands/command.ts";

/** What a command complains of in what was written behind its name. */
async function complaint(name: string, command: Command, args: readonly string[]): Promise<string> {
  try {
    const input = readInput(name, command, args, {});
    if (input !== undefined) await command.run(input);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "";
}

test("an option that is not known names the one that was probably meant", async () => {
  const cases: [args: string[], expected: string][] = [
    [["--confg", "x"], "outrigger check takes no --confg, did you mean --config?"],
    [["--colour"], "outrigger check takes no --colour"],
    [["-x"], "outrigger check takes no -x"],
  ];
  for (const [args, expected] of cases) assert.equal(await complaint("check", checkCommand, args), expected);
});

test("ca says first what it can do, then what that needs", async () => {
  const cases: [args: string[], expected: string][] = [
    [[], "init, or issue?"],
    [["inti", "--path", "x"], 'outrigger ca knows init and issue, not "inti"'],
    [["init", "x", "--path", "x"], 'outrigger ca init takes no "x"'],
    [["init"], "outrigger ca init needs --path"],
    [["issue", "--path", "x"], "outrigger ca issue needs --service"],
  ];
  for (const [args, expected] of cases) assert.equal(await complaint("ca", caCommand, args), expected);
});
