import { setTimeout as sleep } from "node:timers/promises";
import { type Consul, startConsul } from "./consul.ts";
import { RealRedis } from "./redis.ts";
import { UserCaller } from "./user-caller.ts";
import { KNOWN, UserMesh, type UserReplica } from "./user-mesh.ts";

export interface WorldOptions {
  readonly replicas: number;
  /** `rateLimits` of the replicas, with that store. */
  readonly rateLimits: (store: string) => readonly object[];
  /** What the caller's sidecar has under `upstreams.user`. */
  readonly upstream: object;
  readonly seed: number;
}

/** All that faults are made of: replicas, of which some have one, a real Consul and a real Redis; and who calls. */
export class World {
  readonly consul: Consul;
  readonly redis: RealRedis;
  readonly mesh: UserMesh;
  readonly caller: UserCaller;
  private readonly claimed = new Set<UserReplica>();
  private turn = 0;

  private constructor(consul: Consul, redis: RealRedis, mesh: UserMesh) {
    this.consul = consul;
    this.redis = redis;
    this.mesh = mesh;
    this.caller = new UserCaller(mesh.caller.address("outbound"), KNOWN);
  }

  static async start({ replicas, rateLimits, upstream, seed }: WorldOptions): Promise<World> {
    const [consul, redis] = await Promise.all([startConsul(), RealRedis.start()]);
    const mesh = await UserMesh.start({ consul: consul.address, rateLimits: rateLimits(redis.url), upstream, seed });
    const world = new World(consul, redis, mesh);
    await Promise.all(Array.from({ length: replicas }, () => mesh.add()));
    return world;
  }

  /** A replica that has no fault, each in its turn; it gets no other until it is given back. */
  async claim(): Promise<UserReplica> {
    for (;;) {
      const free = this.mesh.replicas.filter((replica) => !this.claimed.has(replica));
      const replica = free[this.turn++ % free.length];
      if (replica !== undefined && (await this.claimThis(replica))) return replica;
      await sleep(20);
    }
  }

  /** The same of one in particular; false where it has gone meanwhile. */
  async claimThis(replica: UserReplica): Promise<boolean> {
    while (this.claimed.has(replica)) await sleep(20);
    if (!this.mesh.replicas.includes(replica)) return false;
    this.claimed.add(replica);
    return true;
  }

  giveBack(replica: UserReplica): void {
    this.claimed.delete(replica);
  }

  /** Ends every process. */
  async stop(): Promise<void> {
    this.caller.close();
    await this.mesh.stop();
    await Promise.all([this.consul.kill(), this.redis.kill()]);
  }
}
