// The same over HTTP/1.1: answers each request once it is complete.
import { once } from "node:events";
import { createServer } from "node:http";
import { SMUGGLED } from "./http1-forms.ts";

let smuggled = 0;
const server = createServer((request, response) => {
  if (request.url?.includes(SMUGGLED) === true) smuggled++;
  request.on("error", () => {});
  request.on("end", () => response.setHeader("content-length", 2).end("ok"));
  request.resume();
}).listen(0, "127.0.0.1");
await once(server, "listening");
const bound = server.address();
if (bound === null || typeof bound === "string") throw new Error("the application does not listen");
console.log(`app 127.0.0.1:${bound.port}`);
process.on("SIGTERM", () => {
  console.log(`smuggled ${smuggled}`);
  process.exit(0);
});
