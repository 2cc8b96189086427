// A caller of a user service:
//   node user-client.ts HOST:PORT CASE...
// Prints one line of JSON a case: {"case":NAME,"seen":[...]}, what was seen of its calls. The one in Go, in
// test/peers/userservice, does the same.
import { UserCaller } from "./user-cases.ts";

const [address = "", ...names] = process.argv.slice(2);
for (const name of names) {
  const caller = new UserCaller(address);
  const seen = await caller.run(name);
  caller.close();
  process.stdout.write(`${JSON.stringify({ case: name, seen })}\n`);
}
