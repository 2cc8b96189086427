import { setTimeout as sleep } from "node:timers/promises";
import type { World } from "./chaos-world.ts";
import type { AppFault } from "./user-app.ts";
import type { UserMesh, UserReplica } from "./user-mesh.ts";
import { eventually } from "./with-proxy.ts";

/** Ends a fault; resolves when all is as before, but for what sidecars still think of it. */
type End = () => Promise<void>;

/** A way in which things go wrong. */
export interface Fault {
  readonly name: string;
  /** What is broken, and between whom. */
  readonly place: string;
  /** One replica has it; the others, all do, or somebody else. */
  readonly ofOne: boolean;
  /** `turn`: how often it was there before. */
  begin(world: World, turn: number): Promise<End>;
}

/** A fault of one replica, which is `hit` and healed. */
function ofReplica(
  name: string,
  place: string,
  hit: (replica: UserReplica, world: World, turn: number) => Promise<End>,
): Fault {
  return {
    name,
    place,
    ofOne: true,
    async begin(world, turn) {
      const replica = await world.claim();
      const heal = await hit(replica, world, turn);
      return async () => {
        await heal();
        world.giveBack(replica);
      };
    },
  };
}

/** What the application does with its calls, while its sidecar is well. */
function ofApplication(name: string, fault: AppFault, place: string): Fault {
  return ofReplica(name, place, async (replica) => {
    await replica.suffer(fault);
    return () => replica.suffer("none");
  });
}

/** Milliseconds from one reset of all connections to the next. */
const RESETS = 250;
const AGE = 200;
const ORDERS = ["both", "sidecar", "application"] as const;

export const deploy: Fault = {
  name: "rolling deploy",
  place: "each replica is replaced, one after the other: its successor is there first, then both processes get SIGTERM",
  ofOne: false,
  async begin(world, turn) {
    const first = ORDERS[turn % ORDERS.length] ?? "both";
    for (const old of world.mesh.replicas) {
      if (!(await world.claimThis(old))) continue;
      await world.mesh.replace(old, first);
      world.giveBack(old);
    }
    return () => world.mesh.gone();
  },
};

export const goaways = ofReplica(
  "GOAWAY storm",
  "the replica's application and its sidecar end their callers' connections by GOAWAY when they are 200 ms old",
  async (replica, { mesh }) => {
    const stormy = await mesh.replace(replica, "both", { maxConnectionAge: AGE });
    return async () => {
      await mesh.replace(stormy, "both");
      await mesh.gone();
    };
  },
);

export const consulDown: Fault = {
  name: "Consul agent down",
  place: "the agent is killed, and comes back without its memory",
  ofOne: false,
  async begin({ consul }) {
    await consul.kill();
    return () => consul.restart();
  },
};

export const redisDown: Fault = {
  name: "Redis down",
  place: "killed and back without its memory, by turns with standing still",
  ofOne: false,
  async begin({ redis, mesh }, turn) {
    if (turn % 2 === 0) await redis.kill();
    else redis.pause();
    await storeIs(mesh, false);
    return async () => {
      if (turn % 2 === 0) await redis.restart();
      else redis.resume();
      await storeIs(mesh, true);
    };
  },
};

export const replicaFaults: readonly Fault[] = [
  ofReplica(
    "crash",
    "application and sidecar are killed, as with their machine; both come back",
    async (replica, world) => {
      await replica.kill();
      return async () => {
        await replica.start();
        await world.mesh.reaches(replica);
      };
    },
  ),
  ofReplica("stop", "application and sidecar stand still (SIGSTOP), and go on", async (replica) => {
    replica.signal("SIGSTOP");
    return async () => replica.signal("SIGCONT");
  }),
  ofApplication("slow", "slow", "the application answers 2 s late"),
  ofApplication("erroring", "erroring", "the application answers half of its calls with UNAVAILABLE"),
  ofApplication(
    "never answers",
    "mute",
    "the application takes calls and never answers; its health says that it serves",
  ),
  ofReplica("connection resets", "every connection between the sidecars is reset, every 250 ms", async ({ relay }) => {
    const timer = setInterval(() => relay.reset(), RESETS);
    return async () => clearInterval(timer);
  }),
  goaways,
];

/** Waits until a replica that can be asked says so of its rate limit. */
async function storeIs(mesh: UserMesh, up: boolean): Promise<void> {
  await eventually(
    async () => (await Promise.all(mesh.replicas.map(storeUp))).includes(up),
    () => `a replica's limit ${up ? "has Redis" : "has lost Redis"}`,
    20_000,
  );
}

async function storeUp(replica: UserReplica): Promise<boolean | undefined> {
  const patience = sleep(1000, undefined);
  try {
    const answer = (await Promise.race([replica.admin("/clusters"), patience])) as
      | { rateLimits: { storeUp: boolean }[] }
      | undefined;
    return answer?.rateLimits[0]?.storeUp;
  } catch {
    // It is down itself.
    return undefined;
  }
}
