import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LogSink, nonBlocking } from "../../src/observability/log-sink.ts";
import { FakeClock } from "../support/clock.ts";
import { runProcess } from "../support/process.ts";

/** A pipe with a name, both of its ends non-blocking, and a way to empty it. */
async function pipe(t: TestContext): Promise<{ fd: number; read: () => Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), "sink-"));
  const path = join(folder, "pipe");
  await runProcess("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(reader);
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const buffer = Buffer.alloc(1 << 20);
  const read = (): Buffer => {
    const parts: Buffer[] = [];
    try {
      for (let octets = readSync(reader, buffer); octets > 0; octets = readSync(reader, buffer)) {
        parts.push(Buffer.from(buffer.subarray(0, octets)));
      }
    } catch {
      // Empty.
    }
    return Buffer.concat(parts);
  };
  return { fd, read };
}

const line = (index: number): string => `${String(index).padStart(6, "0")} ${"é".repeat(50)}\n`;
const lines = (count: number): string => Array.from({ length: count }, (_, index) => line(index)).join("");

/** Like assert.equal, without printing hundreds of kilobytes. */
function same(parts: readonly Buffer[], expected: string): void {
  const text = Buffer.concat(parts).toString();
  assert.ok(text === expected, `${text.length} characters instead of ${expected.length}`);
}

test("a line has been written when write returns", async (t) => {
  const { fd, read } = await pipe(t);
  new LogSink({ fd, clock: new FakeClock() }).write("one\n");
  same([read()], "one\n");
});

test("a reader that stands still stops nobody and gets everything in order when it goes on", async (t) => {
  const { fd, read } = await pipe(t);
  const clock = new FakeClock();
  const sink = new LogSink({ fd, clock });
  for (let index = 0; index < 5000; index++) sink.write(line(index));
  const parts = [read()];
  const first = parts[0]?.length ?? 0;
  assert.ok(first > 0 && first < lines(5000).length, "the pipe is full before all is in");
  for (let round = 0; round < 20; round++) {
    clock.advance(20);
    parts.push(read());
  }
  same(parts, lines(5000));
  assert.equal(clock.pending, 0);
  sink.write("after\n");
  same([read()], "after\n");
});

test("what goes over the limit is dropped and counted, and what was kept is whole", async (t) => {
  const { fd, read } = await pipe(t);
  const clock = new FakeClock();
  const dropped: number[] = [];
  const sink = new LogSink({ fd, clock, limit: 20_000, onDropped: (count) => dropped.push(count) });
  for (let index = 0; index < 5000; index++) sink.write(line(index));
  const parts: Buffer[] = [];
  for (let round = 0; round < 20; round++) {
    parts.push(read());
    clock.advance(20);
  }
  const kept = Buffer.concat(parts).toString().split("\n").length - 1;
  same(parts, lines(kept));
  assert.deepEqual(dropped, [5000 - kept]);
});

test("the last lines of a process wait for the reader, but not for ever", async (t) => {
  const { fd, read } = await pipe(t);
  const sink = new LogSink({ fd, clock: new FakeClock() });
  for (let index = 0; index < 2000; index++) sink.write(line(index));
  const parts: Buffer[] = [];
  for (const ms of [20, 20, 0, 0, 0, 0]) {
    sink.flushSync(ms);
    parts.push(read());
  }
  same(parts, lines(2000));
});

test("a reader that is gone is written to no more", () => {
  const clock = new FakeClock();
  const closed = new LogSink({ fd: 1_000_000, clock });
  closed.write("to nobody\n");
  closed.write("to nobody\n");
  closed.flushSync(50);
  assert.equal(clock.pending, 0);
});

test("a full disk is tried again, since somebody may make room on it", (t) => {
  const fd = openSync("/dev/full", "w");
  t.after(() => closeSync(fd));
  const clock = new FakeClock();
  const sink = new LogSink({ fd, clock });
  sink.write("no room\n");
  for (let round = 0; round < 3; round++) {
    assert.equal(clock.pending, 1, "a line waits");
    clock.advance(20);
  }
});

test("a program whose standard error nobody reads goes on and ends", async () => {
  const code = `
    import { LogSink, nonBlocking } from "./src/observability/log-sink.ts";
    import { systemClock } from "./src/core/clock.ts";
    const sink = new LogSink({ fd: nonBlocking(2), clock: systemClock });
    for (let i = 0; i < 30000; i++) sink.write("x".repeat(100) + "\\n");
    console.log("alive");
    sink.flushSync(50);
    process.exit(3);`;
  const script = `exec 3>&1; { "$0" --input-type=module-typescript -e "$1" 2>&1 >&3; echo "code $?" >&3; } | sleep 2`;
  const commands: [string, string[]][] = [
    // A socket, as a supervisor written in Node.js or systemd gives it.
    [process.execPath, ["--input-type=module-typescript", "-e", code]],
    // A pipe, as a container runtime gives it.
    ["bash", ["-c", script, process.execPath, code]],
  ];
  for (const [command, args] of commands) {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const [exit] = await once(child, "exit", { signal: AbortSignal.timeout(8000) });
    child.stderr.destroy();
    assert.match(output, /^alive\n/);
    assert.ok(exit === 3 || output.endsWith("code 3\n"), `${command}: ${exit} ${output}`);
  }
});

test("a file takes every line", () => {
  const folder = mkdtempSync(join(tmpdir(), "sink-"));
  const path = join(folder, "log");
  const fd = openSync(path, "w");
  const sink = new LogSink({ fd: nonBlocking(fd), clock: new FakeClock() });
  for (let index = 0; index < 1000; index++) sink.write(line(index));
  closeSync(fd);
  same([readFileSync(path)], lines(1000));
  rmSync(folder, { recursive: true });
});
