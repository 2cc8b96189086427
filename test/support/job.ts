import { CountingCaller } from "./caller.ts";

// A job: makes calls of `counter` through the sidecar at OUTBOUND, then ends. `node job.ts OUTBOUND CODE [PATH]`: with CODE where
// every call was answered; PATH is what it asks of the admin listener ADMIN before, as a job does that has no one to do it.
const [, , outbound = "", code = "0", path] = process.argv;
const caller = new CountingCaller(`job-${process.pid}`, outbound, "counter");
await caller.make(40, 4);
caller.close();
process.stdout.write(`made ${caller.answered.length} failed ${caller.failed.length}\n`);
if (path !== undefined) {
  const headers = { "content-type": "application/json" };
  const asked = await fetch(`http://${process.env.ADMIN ?? ""}${path}`, { method: "POST", headers });
  process.stdout.write(`${path} ${asked.status}\n`);
}
process.exit(caller.failed.length === 0 ? Number(code) : 99);
