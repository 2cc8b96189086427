import { Client, credentials } from "@grpc/grpc-js";
import { UserService } from "../../services/user/api/gen/user_pb.ts";
import { clientOf } from "../../services/user/internal/grpc-client.ts";

// A caller that knows nothing of any mesh: `node grpc-caller.ts HOST:PORT ...` makes a user at each and prints its name.
for (const target of process.argv.slice(2)) {
  const channel = new Client(target, credentials.createInsecure());
  const users = clientOf(UserService, channel);
  try {
    const email = `${target.replace(/\W/g, "-")}-${process.pid}@example.com`;
    const made = await users.createUser({ user: { email, displayName: "Ada" } }, { timeout: 20_000 });
    const read = await users.getUser({ id: made.user?.id ?? "" }, { timeout: 20_000 });
    process.stdout.write(`read ${read.user?.displayName ?? "nobody"}\n`);
  } catch (error) {
    process.stdout.write(`failed ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
  channel.close();
}
// grpc-js asks DNS for a service configuration, too; where nobody answers, that would be waited for.
process.exit();
