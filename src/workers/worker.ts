import { parentPort, workerData } from "node:worker_threads";
import { RuntimeView } from "../control/runtime-view.ts";
import { systemClock } from "../core/clock.ts";
import { rest } from "../core/rest.ts";
import { createLog } from "../observability/log.ts";
import { Listeners } from "../runtime/listeners.ts";
import { Runtime } from "../runtime/runtime.ts";
import { makeServices } from "../runtime/services.ts";
import type { FromWorker, Question, ToWorker, WorkerStart } from "./messages.ts";
import { RemoteSources } from "./remote-source.ts";
import { RemoteStore } from "./remote-store.ts";

/** A thread that carries calls; everything else is done by the control thread, which it speaks with by messages. */
export async function serveAsWorker(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("a worker is a thread of another");
  const { config, version, control, ends } = workerData as WorkerStart;
  const send = (message: FromWorker): void => port.postMessage(message);
  const sink = { write: (line: string): void => send({ kind: "log", line }) };
  const log = createLog({ service: config.identity.name, version, level: config.log.level, clock: systemClock, sink });
  const sources = new RemoteSources(send);
  const store = new RemoteStore(send, () => systemClock.now());
  let withdraw: () => void = () => {};
  const withdrawn = new Promise<void>((resolve) => {
    withdraw = resolve;
  });
  const services = makeServices(systemClock, log, config, version, { leases: store, rest });
  const runtime = new Runtime({
    config,
    services,
    version,
    podIp: undefined,
    otherListeners: () => control,
    listeners: (identity, mtls) => new Listeners(identity, mtls, services, true),
    tell: (news) => send({ kind: "news", news }),
    elsewhere: {
      source: (kind) => sources.of(kind),
      withdrawn,
      inboundEnded: () => send({ kind: "inboundEnded" }),
      ends,
    },
  });
  const view = new RuntimeView(runtime, { drain: () => {}, quit: () => {} }, version);
  port.on("message", (message: ToWorker) => {
    switch (message.kind) {
      case "apply":
        void runtime.apply(message.config).then((result) => {
          send({ kind: "applied", id: message.id, result });
        });
        return;
      case "discovered":
        sources.discovered(message.subscription, message.state);
        return;
      case "granted":
        store.granted(message.id, message.grant);
        return;
      case "ask":
        void answerOf(view, message.question).then((answer) => send({ kind: "answer", id: message.id, answer }));
        return;
      case "logLevel":
        log.setLevel(message.level);
        return;
      case "drain":
        void runtime.drain().then((cut) => send({ kind: "drained", cut }));
        return;
      case "withdrawn":
        withdraw();
        return;
      case "news":
        runtime.hear(message.news);
        return;
      case "stop":
        // This thread alone: whatever is left of it has nothing to do any more.
        void runtime.stop().then(() => process.exit(0));
        return;
    }
  });
  try {
    await runtime.start();
    send({ kind: "started" });
  } catch (error) {
    send({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

async function answerOf(view: RuntimeView, question: Question): Promise<unknown> {
  switch (question.kind) {
    case "clusters":
      return view.clusters();
    case "connections":
      return view.connections();
    case "metrics":
      return (await view.metrics("shared")).text;
    case "explain":
      return view.explain(question.id);
    case "latestCalls":
      return view.latestCalls(question.count, question.failed);
  }
}
