// An application that does so many calls at once, each in so many milliseconds by a timer; the others wait in their order. As
// most servers, it goes on with a call whose caller has gone. Arguments: the slots, the milliseconds. Prints its address.
import { EngineServer } from "./engine-peer.ts";
import type { PlainField } from "./hpack-peer.ts";

const [slots = Number.NaN, time = Number.NaN] = process.argv.slice(2).map(Number);
const answer: readonly PlainField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-status", "0"],
];
const waiting: (() => void)[] = [];
let busy = 0;

/** Does a call from `start` on. That a timer is late by a little makes the service no slower than it is said to be. */
function work(reply: () => void, start: number): void {
  const end = start + time;
  const finish = (): void => {
    reply();
    const next = waiting.shift();
    if (next === undefined) busy--;
    else work(next, end);
  };
  setTimeout(finish, Math.max(0, end - performance.now()));
}

const server = await EngineServer.listen((_request, reply) => {
  const whenDone = (): void => reply(answer);
  if (busy === slots) {
    waiting.push(whenDone);
    return;
  }
  busy++;
  work(whenDone, performance.now());
});
console.log(`slots-app ${server.address}`);
