import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { UserService } from "../../services/user/api/gen/user_pb.ts";
import { clientOf, type ServiceClient } from "../../services/user/internal/grpc-client.ts";

/** Milliseconds after which a call has failed, whatever comes then. */
const DEADLINE = 5000;

/** What became of the calls of one kind. */
export class Tallied {
  calls = 0;
  answered = 0;
  /** By status and the sidecar's reason. */
  readonly failed = new Map<string, number>();
  /** Milliseconds of the answered ones. */
  readonly times: number[] = [];
}

/** The calls of a stretch of time. */
export class Stretch {
  readonly name: string;
  /** GetUser, of a user who is there. */
  readonly idempotent = new Tallied();
  /** CreateUser, each of another user. */
  readonly once = new Tallied();
  /** The users that were to be created, and those of whom it is known that they were. */
  readonly ids: string[] = [];
  readonly created: string[] = [];
  private readonly underWay = new Set<Promise<void>>();

  constructor(name: string) {
    this.name = name;
  }

  /** Makes a call of each kind. */
  both(users: ServiceClient<typeof UserService>, known: string): void {
    const options = { timeout: DEADLINE };
    void this.tally(this.idempotent, users.getUser({ id: known }, options));
    const id = `${this.name}-${this.ids.length}`;
    this.ids.push(id);
    const user = { id, email: `${id}@example.com`, displayName: id };
    void this.tally(this.once, users.createUser({ user }, options), () => this.created.push(id));
  }

  /** Resolves when its calls are over. */
  async over(): Promise<void> {
    await Promise.all(this.underWay);
  }

  private async tally(into: Tallied, call: Promise<unknown>, onAnswer = (): unknown => undefined): Promise<void> {
    into.calls++;
    const began = performance.now();
    const over = call.then(
      () => {
        into.answered++;
        into.times.push(performance.now() - began);
        onAnswer();
      },
      (error: unknown) => {
        const what = whatFailed(error);
        into.failed.set(what, (into.failed.get(what) ?? 0) + 1);
      },
    );
    this.underWay.add(over);
    await over;
    this.underWay.delete(over);
  }
}

/** The status and the reason of a call that failed. What is no answer of anybody, but a fault of the client, is told as it is. */
function whatFailed(error: unknown): string {
  if (!isServiceError(error)) return `no status: ${String(error)}`;
  const [reason] = error.metadata.get("outrigger-reason");
  const who = error.code === status.DEADLINE_EXCEEDED ? "at the caller" : "of the application";
  return `${status[error.code]} ${String(reason ?? who)}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error && error.metadata !== undefined;
}

/** A plain gRPC client of the user service that makes calls of both kinds at a rate, and does nothing when one fails. */
export class UserCaller {
  private readonly channel: Client;
  private readonly users: ServiceClient<typeof UserService>;
  private readonly known: string;
  private stretch = new Stretch("before");

  /** `known`: the id of a user who is there. */
  constructor(address: string, known: string) {
    this.channel = new Client(address, credentials.createInsecure(), {
      "grpc.default_authority": "user",
      "grpc.enable_retries": 0,
    });
    this.users = clientOf(UserService, this.channel);
    this.known = known;
  }

  /** Calls made from now on are of a new stretch; its name begins the ids of its users. */
  begin(name: string): Stretch {
    this.stretch = new Stretch(name);
    return this.stretch;
  }

  /** Makes `rate` calls of each kind a second, whatever becomes of them, until the function that it returns is called. */
  pace(rate: number): () => void {
    const began = performance.now();
    let made = 0;
    const timer = setInterval(() => {
      const due = ((performance.now() - began) / 1000) * rate;
      for (; made < due; made++) this.stretch.both(this.users, this.known);
    }, 5);
    return () => clearInterval(timer);
  }

  close(): void {
    this.channel.close();
  }
}
