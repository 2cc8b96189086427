import { formatAddress } from "../../core/address.ts";
import { isLoopback } from "../../discovery/bad-endpoint.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

/** A shorter token can be guessed by asking. */
const SHORTEST = 16;

/** An admin listener that strangers can reach and use, and two ways to say one thing. */
export function checkAdmin(draft: Draft<FileConfig>, reading: Reading): void {
  const has = (key: string): boolean => reading.has(["admin", key]);
  const { token } = draft.admin ?? {};
  if (has("token") && has("tokenFile"))
    reading.reportKey(["admin", "tokenFile"], {
      code: "conflict",
      message: "admin has a token and a tokenFile",
      expected: "one of them",
    });
  if (token !== undefined && token.length < SHORTEST)
    reading.reportValue(["admin", "token"], {
      code: "invalid-value",
      message: `admin.token has ${token.length} characters: it can be guessed`,
      expected: `at least ${SHORTEST}, such as what openssl rand -hex 32 prints`,
    });
  const address = draft.listeners?.admin;
  if (address === undefined) return;
  if (address.kind === "unix") {
    if (has("tls"))
      reading.reportKey(["admin", "tls"], {
        code: "no-effect",
        message: "admin.tls has no effect: listeners.admin is a unix socket, which its mode protects",
        expected: "no such key",
      });
    return;
  }
  if (isLoopback(address.host) || has("token") || has("tokenFile") || reading.has(["admin", "tls", "clientCa"])) return;
  reading.reportValue(["listeners", "admin"], {
    code: "conflict",
    message: `listeners.admin is not on loopback: whoever reaches ${formatAddress(address)} could read everything and end this sidecar`,
    expected:
      "127.0.0.1:PORT or unix:/path; or who asks has to prove who it is: admin.token or admin.tokenFile, or admin.tls with clientCa",
  });
}
