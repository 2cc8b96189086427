import type { Peer } from "./peer.ts";

/** No proxy: the caller dials the upstream. What everything else is to be read against. */
export const direct: Peer = {
  name: "direct",
  description: "no proxy",
  start: async ({ upstreamPort }) => ({
    port: upstreamPort,
    pid: undefined,
    output: () => "",
    stop: async () => {},
  }),
};
