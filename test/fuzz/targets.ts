import { client, server } from "./connection.ts";
import { frames } from "./frames.ts";
import { hpack } from "./hpack.ts";
import { requests } from "./requests.ts";
import type { Target } from "./target.ts";

export const targets: readonly Target[] = [frames, hpack, requests, server, client];
