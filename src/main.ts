import { isMainThread } from "node:worker_threads";
import { endEarly } from "./core/early-end.ts";

// A worker runs the same file as the thread that started it, so that a bundle has no second one.
if (isMainThread) {
  endEarly();
  const { cli } = await import("./cli.ts");
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has gone, such as `| head`, has what it wanted; anything else is a result that nobody gets.
    if (error.code === "EPIPE") return;
    process.stderr.write(`outrigger: cannot write to standard output: ${error.message}\n`);
    process.exitCode = 1;
  });
  const code = await cli(process.argv.slice(2), process.env);
  process.exitCode ??= code;
} else {
  const { serveAsWorker } = await import("./workers/worker.ts");
  await serveAsWorker();
}
