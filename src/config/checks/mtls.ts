import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

const SOURCES = ["files", "consul", "spiffe", "development"] as const;

/** Where the identity comes from, and settings of TLS that nothing makes use of. */
export function checkMtls(draft: Draft<FileConfig>, reading: Reading): void {
  const mode = draft.mtls?.mode;
  const given = SOURCES.filter((source) => reading.has(["mtls", "source", source]));
  if (mode === "disabled") {
    if (given.length === 0) checkUpstreams(draft, reading);
    return;
  }
  if (mode !== undefined && given.length === 0) {
    reading.reportValue(["mtls", "mode"], {
      code: "missing-key",
      message: `missing key "source" in mtls: ${mode} needs a certificate`,
      expected: `source: one of ${SOURCES.join(", ")}`,
    });
  }
  checkSource(given, draft, reading);
  const inbound = draft.listeners?.inbound;
  if (mode !== undefined && inbound?.kind === "unix" && draft.service !== undefined) {
    reading.reportValue(["listeners", "inbound"], {
      code: "conflict",
      message: `listeners.inbound is a unix socket, and mtls.mode is ${mode}: TLS is spoken over TCP`,
      expected: "HOST:PORT, or mtls.mode: disabled",
    });
  }
}

function checkSource(given: readonly (typeof SOURCES)[number][], draft: Draft<FileConfig>, reading: Reading): void {
  const [, second] = given;
  if (second !== undefined) {
    reading.reportKey(["mtls", "source", second], {
      code: "conflict",
      message: `mtls.source has ${given.join(" and ")}: there is one identity`,
      expected: `one of ${SOURCES.join(", ")}`,
    });
  }
  if (given.includes("consul") && !reading.has(["discovery", "consul"])) {
    reading.reportKey(["mtls", "source", "consul"], {
      code: "conflict",
      message: "mtls.source is consul, and discovery.consul is not configured: which agent is asked?",
      expected: "discovery.consul beside it, or another source",
    });
  }
  const { authorities, domain } = ownDomain(draft);
  if (authorities?.has(domain) === true) {
    reading.reportKey(["mtls", "source", "files", "federated", domain], {
      code: "conflict",
      message: `${domain} is the own trust domain, whose authorities are those of mtls.source.files.ca`,
      expected: "other trust domains",
    });
  }
}

/** The own trust domain, where the file says it. */
function ownDomain(draft: Draft<FileConfig>): {
  readonly authorities: ReadonlyMap<string, string> | undefined;
  readonly domain: string;
} {
  const domain = /^spiffe:\/\/([^/]*)/.exec(draft.mtls?.identity ?? "")?.[1] ?? "";
  return { authorities: draft.mtls?.source?.files?.federated, domain };
}

/** Without a certificate nobody is dialled by TLS. */
function checkUpstreams(draft: Draft<FileConfig>, reading: Reading): void {
  for (const [name, { mtls }] of draft.upstreams ?? []) {
    if (mtls === undefined || mtls === "disabled") continue;
    reading.reportValue(["upstreams", name, "mtls"], {
      code: "conflict",
      message: `upstreams.${name}.mtls is ${mtls}, and mtls.source says of no certificate`,
      expected: "mtls.source beside it, or no such key",
    });
  }
}
