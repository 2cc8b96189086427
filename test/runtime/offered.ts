import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";
import { type Sidecar, type SidecarConfig, wholeConfig } from "../support/with-proxy.ts";

/** A configuration for a sidecar that runs: its listeners stay as they are bound. */
export function offered(sidecar: Sidecar, config: SidecarConfig): Config {
  const loaded = loadConfig(JSON.stringify(wholeConfig(config)), { file: "test.yaml", env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return { ...loaded.config, listeners: sidecar.runtime.config.listeners };
}
