// The client of gRPC's interoperability tests on grpc-js:
//   node grpc-js-client.ts HOST:PORT CASE...
// Prints one line of JSON a case: {"case":NAME,"seen":[...]}, what was seen of its calls.
import { runCase } from "./grpc-js-cases.ts";

const [address = "", ...names] = process.argv.slice(2);
for (const name of names) {
  const seen = await runCase(name, address);
  process.stdout.write(`${JSON.stringify({ case: name, seen })}\n`);
}
