import assert from "node:assert/strict";
import { test } from "node:test";
import { type Spoken, spokenBy } from "../../src/net/detect.ts";

const cases: [octets: string | Buffer, spoken: Spoken][] = [
  ["", "unknown yet"],
  ["P", "unknown yet"],
  ["PRI", "unknown yet"],
  ["PRI ", "http2"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"],
  ["PO", "unknown yet"],
  ["POST", "unknown yet"],
  ["POST ", "http1"],
  ["GET / HTTP/1.1\r\n", "http1"],
  ["M-SEARCH * HTTP/1.1\r\n", "http1"],
  ["PRIVATE / HTTP/1.1", "http1"],
  ["get / HTTP/1.1", "other"],
  ["A-METHOD-THAT-IS-MUCH-TOO-LONG ", "other"],
  ["SSH-2.0-OpenSSH_9.2\r\n", "other"],
  ["*1\r\n$4\r\nPING\r\n", "other"],
  [Buffer.from([0x16, 3, 1, 2, 0]), "tls"],
  [Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), "other"],
  [Buffer.from([0xff]), "other"],
];

test("what a client speaks is told from its first octets", () => {
  for (const [octets, spoken] of cases) assert.equal(spokenBy(Buffer.from(octets)), spoken, JSON.stringify(octets));
});

test("more octets never take back what fewer have said", () => {
  for (const [octets, spoken] of cases) {
    const all = Buffer.from(octets);
    for (let size = 0; size <= all.length; size++) {
      const early = spokenBy(all.subarray(0, size));
      if (early !== "unknown yet" && early !== "other")
        assert.equal(early, spoken, `${size} of ${JSON.stringify(octets)}`);
    }
  }
});
