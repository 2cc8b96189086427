// A worker that carries nothing and does what a test asks of it: `explain` with the id "crash" throws, "exit" ends it, "heard" gives
// the news that have come, and JSON is told as news.
import { parentPort, workerData } from "node:worker_threads";
import type { UpstreamNews } from "../../src/runtime/runtime.ts";
import type { FromWorker, ToWorker, WorkerStart } from "../../src/workers/messages.ts";

const { config } = workerData as WorkerStart;
const heard: UpstreamNews[] = [];
const send = (message: FromWorker): void => parentPort?.postMessage(message);

parentPort?.on("message", (message: ToWorker) => {
  if (message.kind === "news") heard.push(message.news);
  if (message.kind === "ask") {
    const { question } = message;
    const what = question.kind === "explain" ? question.id : "";
    if (what === "crash") throw new Error("a fault of a worker");
    if (what === "exit") process.exit(7);
    if (what.startsWith("{")) send({ kind: "news", news: JSON.parse(what) });
    send({ kind: "answer", id: message.id, answer: what === "heard" ? heard : config.identity.name });
  }
  if (message.kind === "apply") {
    const refused = message.config.identity.name === "refuse";
    const result = refused ? ({ kind: "refused", why: "no" } as const) : ({ kind: "applied", version: 2 } as const);
    send({ kind: "applied", id: message.id, result });
  }
  if (message.kind === "drain") {
    send({ kind: "inboundEnded" });
    send({ kind: "drained", cut: 3 });
  }
  if (message.kind === "stop") process.exit(0);
});
if (config.identity.name === "fail") send({ kind: "failed", message: "it cannot" });
else send({ kind: "started" });
