import { join } from "node:path";
import { buildPeers } from "../peers/build.ts";
import { startProcess } from "../support/process.ts";
import { type InteropClient, type InteropServer, runJsonLines, started } from "./peer.ts";
import { userCases, userFaults } from "./user-expected.ts";

const SERVICE = join(import.meta.dirname, "..", "..", "services", "user", "main.ts");

export const goUserService: InteropServer = {
  name: "the user service in Go",
  parts: ["go"],
  lacks: {},
  start: async () => {
    const { userservice } = await buildPeers();
    return started(await startProcess(userservice, ["-listen", "127.0.0.1:0"]), /^listening (\S+)/);
  },
};

export const userService: InteropServer = {
  name: "the user service",
  parts: [],
  lacks: {},
  start: async () =>
    started(await startProcess(process.execPath, [SERVICE, "--listen=127.0.0.1:0"]), /^user ready address=(\S+)/),
};

const goCaller: InteropClient = {
  name: "a caller in Go",
  parts: ["go"],
  cases: userCases,
  run: async (address, cases) => {
    const { userservice } = await buildPeers();
    return runJsonLines(userservice, ["-target", address, ...cases], cases, userFaults);
  },
};

const caller: InteropClient = {
  name: "a caller in TypeScript",
  parts: [],
  cases: userCases,
  run: (address, cases) =>
    runJsonLines(process.execPath, [join(import.meta.dirname, "user-client.ts"), address, ...cases], cases, userFaults),
};

/** Two user services of one interface and callers of each: who calls which. */
export const userPairs: readonly (readonly [InteropClient, InteropServer])[] = [
  [goCaller, goUserService],
  [goCaller, userService],
  [caller, goUserService],
  [caller, userService],
];
