// Measures the user service with ghz: directly, through one sidecar and through two, each a process of its own.
//   node test/bench/user-service.ts [options of services/user/ghz.ts]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { userService } from "../interop/user-pairs.ts";
import { startWays } from "../interop/ways.ts";
import { requirePart } from "../support/real-parts.ts";

const SCRIPT = join(import.meta.dirname, "..", "..", "services", "user", "ghz.ts");

const service = await userService.start();
const ways = await startWays(service.address);
try {
  process.stdout.write(`${cpus().length} x ${cpus()[0]?.model}, Linux ${release()}, Node ${process.version}\n\n`);
  const named = [`direct=${ways.direct}`, `one sidecar=${ways.one}`, `two sidecars=${ways.two}`];
  const env = { ...process.env, GHZ: requirePart("ghz") };
  const child = spawn(process.execPath, [SCRIPT, ...process.argv.slice(2), ...named], { env, stdio: "inherit" });
  const [code] = await once(child, "exit");
  process.exitCode = Number(code ?? 1);
} finally {
  await ways.stop();
  await service.stop();
}
