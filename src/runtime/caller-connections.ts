import type { CallersConfig } from "../config/types.ts";
import type { Timers } from "../core/clock.ts";
import { ConnectionLives } from "../net/connection-life.ts";
import type { ListenerLimits } from "../net/listener.ts";

/** What holds for the connections of the callers of one direction, at each of its listeners. */
export class CallerConnections {
  readonly lives: ConnectionLives;
  /** Of each listener, which reads them anew for each connection. */
  readonly limits: { -readonly [key in keyof ListenerLimits]: ListenerLimits[key] };

  constructor(config: CallersConfig, timers: Timers, random: () => number) {
    this.lives = new ConnectionLives(config, timers, random);
    this.limits = limitsOf(config);
  }

  /** Puts another configuration in force, for connections that are open as well. */
  apply(config: CallersConfig): void {
    Object.assign(this.limits, limitsOf(config));
    this.lives.renew(config);
  }
}

function limitsOf({ max, maxPerSource }: CallersConfig): ListenerLimits {
  return { maxConnections: max, maxPerSource };
}
