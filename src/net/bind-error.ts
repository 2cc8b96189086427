import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Address, formatAddress } from "../core/address.ts";
import { portHolder } from "./port-holder.ts";

/** A listener cannot have its address. The message names the address and the likely reason. */
export class BindError extends Error {
  readonly address: Address;
  /** The system's word for it, such as EADDRINUSE. */
  readonly code: string;

  constructor(address: Address, code: string, why: string, cause?: unknown) {
    super(`cannot listen on ${formatAddress(address)}: ${why}`, { cause });
    this.name = "BindError";
    this.address = address;
    this.code = code;
  }
}

/** The error of a bind, with what is likely behind it. */
export async function explainBind(address: Address, error: unknown): Promise<BindError> {
  if (error instanceof BindError) return error;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "UNKNOWN";
  const why = (await likelyReason(address, code)) ?? (error instanceof Error ? error.message : String(error));
  return new BindError(address, code, why, error);
}

async function likelyReason(address: Address, code: string): Promise<string | undefined> {
  switch (code) {
    case "EADDRINUSE": {
      if (address.kind === "unix") return "another process took it at the same moment";
      const holder = await portHolder(address.port);
      return holder === undefined
        ? "the port is in use, by a process of another user or another sidecar on this host network"
        : `the port is in use by ${holder}`;
    }
    case "EACCES": {
      if (address.kind === "tcp") return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
      // libuv says EACCES for a folder that is not there, too.
      const folder = await stat(dirname(address.path)).catch(() => undefined);
      return folder === undefined
        ? "the folder of the socket does not exist"
        : "this user may not create a socket in that folder";
    }
    case "EADDRNOTAVAIL":
      return "no interface of this machine has that address";
    case "EAFNOSUPPORT":
      return "this machine has no addresses of that family (IPv6 is maybe switched off)";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name does not resolve";
    case "ENOTDIR":
      return "a part of the path is no folder";
    case "EROFS":
      return "the file system is read-only";
    case "EMFILE":
    case "ENFILE":
      return "too many open files: raise the limit (ulimit -n)";
    default:
      return undefined;
  }
}
