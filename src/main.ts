import { isMainThread } from "node:worker_threads";

// A worker runs the same file as the thread that started it, so that a bundle has no second one.
if (isMainThread) {
  const { cli } = await import("./cli.ts");
  process.exitCode = await cli(process.argv.slice(2), process.env);
} else {
  const { serveAsWorker } = await import("./workers/worker.ts");
  await serveAsWorker();
}
