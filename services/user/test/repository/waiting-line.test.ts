import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WaitingLine } from "../../repository/waiting-line.ts";
import { never } from "../support/signals.ts";

const late = (): Error => new Error("too late");

describe("a line of those who wait", () => {
  it("gives to the first one, and to nobody where nobody waits", async () => {
    const line = new WaitingLine<number>();
    assert.equal(line.give(0), false);
    const [first, second] = [line.join(never, 60_000, late), line.join(never, 60_000, late)];
    assert.equal(line.give(1), true);
    assert.equal(line.give(2), true);
    assert.deepEqual([await first, await second, line.length, line.give(3)], [1, 2, 0, false]);
  });

  it("lets go whose time is over, or whose signal is aborted, with the reason, and keeps the others", async () => {
    const line = new WaitingLine<number>();
    const caller = new AbortController();
    const [slow, gone] = [line.join(never, 1, late), line.join(caller.signal, 60_000, late)];
    const patient = line.join(never, 60_000, late);
    const reason = new Error("gone");
    caller.abort(reason);
    await assert.rejects(gone, reason);
    await assert.rejects(slow, late());
    assert.equal(line.length, 1);
    line.give(1);
    assert.equal(await patient, 1);
  });

  it("sends all away", async () => {
    const line = new WaitingLine<number>();
    const waiting = [line.join(never, 60_000, late), line.join(never, 60_000, late)];
    const reason = new Error("closed");
    line.dismiss(reason);
    for (const each of waiting) await assert.rejects(each, reason);
    assert.equal(line.length, 0);
  });
});
