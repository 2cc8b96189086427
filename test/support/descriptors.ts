import { spawnSync } from "node:child_process";

/** Starts this script again with room for that many open files, where it has less. */
export function withDescriptors(count: number): void {
  const limit = Number(spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).stdout);
  if (!(limit < count) || process.env.DESCRIPTORS_RAISED === "1") return;
  const again = `ulimit -n ${count} && exec "$@"`;
  const env = { ...process.env, DESCRIPTORS_RAISED: "1" };
  const { status } = spawnSync("sh", ["-c", again, "sh", ...process.argv], { stdio: "inherit", env });
  process.exit(status ?? 1);
}
