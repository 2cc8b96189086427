// The application that is attacked through its sidecar. Prints its address; on SIGTERM the paths that it was asked for and that
// nobody may have asked for.
import { startApp } from "../adversaries/app.ts";
import { Scope } from "../support/with-proxy.ts";
import { SMUGGLED } from "./http1-forms.ts";

// It bounds nothing itself.
const none = 2 ** 31 - 1;
const app = await startApp(new Scope(), { maxHeaderListSize: none, maxHeaderFields: none, maxContinuations: none });
console.log(`app ${app.address}`);
process.on("SIGTERM", () => {
  console.log(`smuggled ${app.asked.filter((path) => path.includes(SMUGGLED)).length}`);
  process.exit(0);
});
