import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { nodeServer } from "./h2-pairs.ts";
import { startWays, type Ways } from "./ways.ts";

/** How an nghttp2 client announces itself, and how many octets it then asks for; with a window of 1 octet fewer. */
const announcements: readonly (readonly [title: string, flags: readonly string[], octets: number])[] = [
  ["a header table of 0", ["--header-table-size=0", "--encoder-header-table-size=0"], 100_000],
  ["a header table of 64 KiB", ["--header-table-size=65536", "--encoder-header-table-size=65536"], 100_000],
  ["a header table of 0 and then of 64 KiB", ["--header-table-size=0", "--header-table-size=65536"], 100_000],
  ["stream windows of 1 octet", ["--window-bits=1"], 2000],
  ["stream windows of 7 octets", ["--window-bits=3"], 10_000],
  ["windows of 16 KiB", ["--window-bits=14", "--connection-window-bits=16"], 1_000_000],
  ["windows of 2^30 octets", ["--window-bits=30", "--connection-window-bits=30"], 16_000_000],
  ["frames padded by 255 octets", ["--padding=255"], 100_000],
];

/** Runs `body` with the ways to a node:http2 application. */
async function withWays(body: (ways: Ways) => Promise<void>): Promise<void> {
  const server = await nodeServer.start();
  try {
    const ways = await startWays(server.address);
    try {
      await body(ways);
      assert.deepEqual(await ways.unrest(), []);
    } finally {
      await ways.stop();
    }
  } finally {
    await server.stop();
  }
}

/** For bash: the hash of what a command prints, and its exit code. */
const HASHED = ["-o", "pipefail", "-c", '"$0" "$@" | sha256sum'];
const NOTHING = `${createHash("sha256").digest("hex")}  -\n`;

for (const [title, flags, octets] of announcements) {
  test(`nghttp with ${title} gets and sends what it would directly`, skipUnless("nghttp"), async () => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-nghttp-"));
    const upload = join(folder, "upload");
    await writeFile(upload, "0123456789abcdef".repeat(octets / 16));
    const nghttp = async (address: string, ...args: string[]): Promise<string> => {
      const all = [...flags, ...args.map((arg) => arg.replace("ADDRESS", address))];
      const { code, stdout, stderr } = await runProcess("bash", [...HASHED, requirePart("nghttp"), ...all]);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    try {
      await withWays(async ({ direct, one, two }) => {
        for (const args of [
          [`http://ADDRESS/octets?n=${octets}`],
          [`--data=${upload}`, "http://ADDRESS/echo"],
          ["http://ADDRESS/fields"],
          // The same again and again on one connection: what tables keep is used.
          ["--no-dep", "--multiply=20", "http://ADDRESS/octets?n=3"],
        ]) {
          const wanted = await nghttp(direct, ...args);
          assert.notEqual(wanted, NOTHING, `${args.join(" ")} brings nothing`);
          assert.equal(await nghttp(one, ...args), wanted, `${args.join(" ")} through one sidecar`);
          assert.equal(await nghttp(two, ...args), wanted, `${args.join(" ")} through two sidecars`);
        }
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

test("h2load with windows of 1 octet and of 2^30 loses no request", skipUnless("h2load"), async () => {
  await withWays(async ({ one, two }) => {
    for (const address of [one, two]) {
      for (const bits of ["1", "30"]) {
        const args = ["-n", "200", "-c", "4", "-m", "20", "-w", bits, "-W", bits, `http://${address}/octets?n=300`];
        const { stdout } = await runProcess(requirePart("h2load"), args);
        assert.match(stdout, /200 succeeded, 0 failed, 0 errored, 0 timeout/, `${bits} window bits`);
      }
    }
  });
});
