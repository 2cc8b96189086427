import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Pod } from "./netns.ts";
import { outrigger } from "./pod-programs.ts";
import type { Completed } from "./process.ts";
import { requirePart } from "./real-parts.ts";

/** A tool that sets rules: what `capture.rules` says, and which of the two programs of that name it finds. */
export interface CaptureTool {
  readonly name: string;
  readonly rules: "nftables" | "iptables";
  readonly variant: "nft" | "legacy" | undefined;
}

export const captureTools: readonly CaptureTool[] = [
  { name: "nftables", rules: "nftables", variant: undefined },
  { name: "iptables-nft", rules: "iptables", variant: "nft" },
  { name: "iptables-legacy", rules: "iptables", variant: "legacy" },
];

/** What the tests of these tools need. */
export const captureParts = ["nft", "iptables", "iptables-nft", "iptables-legacy", "ip"] as const;

/** The programs by the names that everybody calls them by, for one test; `folder`: where the links to them are made. */
export class ToolBox {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    for (const { variant } of captureTools) {
      if (variant === undefined) continue;
      mkdirSync(this.bin(variant), { recursive: true });
      for (const name of ["iptables", "ip6tables"])
        for (const end of ["", "-restore"])
          symlinkSync(requirePart(`${name}-${variant}${end}`), join(this.bin(variant), `${name}${end}`));
    }
  }

  /** `outrigger capture` in a pod; `config`: the whole file, as JSON has it. */
  capture(pod: Pod, tool: CaptureTool, config: object, args: readonly string[] = []): Promise<Completed> {
    const input = JSON.stringify(config);
    return pod.run([...outrigger, "capture", "-c", "-", ...args], { input, env: this.env(tool) });
  }

  /** What `--dry-run` has printed, as somebody would run it. */
  shell(pod: Pod, tool: CaptureTool, script: string): Promise<Completed> {
    return pod.run(["sh", "-e", "-s"], { input: script, env: this.env(tool) });
  }

  private env({ variant }: CaptureTool): Record<string, string> {
    return variant === undefined ? {} : { PATH: `${this.bin(variant)}:${process.env.PATH ?? ""}` };
  }

  private bin(variant: string): string {
    return join(this.folder, `iptables-${variant}`);
  }
}

/** Every rule that is in force in a pod, of whichever tool, without its counters. */
export async function ruleSets(pod: Pod): Promise<string> {
  const list = "nft --stateless list ruleset && iptables-legacy-save && ip6tables-legacy-save";
  const { code, stdout, stderr } = await pod.run(["sh", "-c", list]);
  if (code !== 0) throw new Error(stderr);
  return stdout
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.replace(/\[\d+:\d+\]|counter packets \d+ bytes \d+/g, ""))
    .join("\n");
}
