import { formatAddress } from "../../core/address.ts";
import { BindError } from "../../net/bind-error.ts";
import { Listener } from "../../net/listener.ts";
import { type Check, error, type Finding, messageOf, ok } from "./finding.ts";
import { reach } from "./reach.ts";

const NAME = "port";

/** Whether the listeners can be bound; where a sidecar is running, whether its listeners take connections. */
export const checkPorts: Check = async ({ config, running }) => {
  const { inbound, ...others } = config.listeners;
  const listeners = Object.entries(config.service === undefined ? others : { inbound, ...others });
  for (const [name, { listen }] of config.upstreams)
    if (listen !== undefined) listeners.push([`upstreams.${name}.listen`, listen]);
  return await Promise.all(
    listeners.map(async ([name, address]): Promise<Finding> => {
      const what = `${name} ${formatAddress(address)}`;
      if (running !== undefined) {
        try {
          await reach(address);
          return ok(NAME, `${what} takes connections`);
        } catch (reason) {
          const remedy = "The sidecar runs with another configuration, or has been asked to drain: see its log.";
          return error(NAME, `${what} does not take connections: ${messageOf(reason)}`, remedy);
        }
      }
      try {
        const listener = await Listener.bind(
          address,
          { limits: { maxConnections: 1 } },
          { onConnection: (socket) => void socket.destroy(), onRefused: () => {}, onError: () => {} },
        );
        await listener.close();
        return ok(NAME, `${what} is free`);
      } catch (reason) {
        const evidence = reason instanceof BindError ? reason.message : messageOf(reason);
        return error(NAME, `${name}: ${evidence}`, `End what holds it, or choose another address for ${name}.`);
      }
    }),
  );
};
