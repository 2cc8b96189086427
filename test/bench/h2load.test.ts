import assert from "node:assert/strict";
import { test } from "node:test";
import { parseH2load } from "./h2load.ts";

const PRINTED = `starting benchmark...
spawning thread #0: 10 total client(s). 50000 total requests
Application protocol: h2c
progress: 100% done

finished in 474.94ms, 105276.46 req/s, 13.96MB/s
requests: 50000 total, 50000 started, 50000 done, 49990 succeeded, 7 failed, 2 errored, 1 timeout
status codes: 49990 2xx, 0 3xx, 0 4xx, 7 5xx
traffic: 6.63MB (6952800) total, 97.77KB (100120) headers (space savings 94.73%), 5.01MB (5250000) data
                     min         max         mean         sd        +/- sd
time for request:       86us      3.62ms       894us       375us    75.66%
time for connect:       79us       473us       213us       112us    80.00%
`;

test("h2load's summary is read with its units", () => {
  const summary = parseH2load(PRINTED);
  assert.equal(summary.succeeded, 49_990);
  assert.equal(summary.failed, 10, "failed, errored and timed out together");
  assert.equal(summary.dataBytes, 5_250_000);
  assert.ok(Math.abs(summary.seconds - 0.47494) < 1e-9);
  assert.ok(Math.abs(summary.meanUs - 894) < 1e-6);
});

test("a summary of another form is an error that shows it", () => {
  assert.throws(() => parseH2load("could not connect"), /h2load printed no .*could not connect/);
});
