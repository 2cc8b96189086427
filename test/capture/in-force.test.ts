import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { captureParts, captureTools, ruleSets, ToolBox } from "../support/capture-tools.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import { PodAgent, REFUSED } from "../support/pod-programs.ts";
import { skipUnless } from "../support/real-parts.ts";

// What the rules of each tool do in a pod without a sidecar: nobody listens at the ports that connections are redirected to, so
// that one that gets through was not redirected, and one that was is refused.

const parts = skipUnless(...captureParts);
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };

/** A user whose connections go out as they are. */
const EXCLUDED = 4242;

let network: PodNetwork;
let pod: Pod;
let other: Pod;
let third: Pod;
let folder: string;
let tools: ToolBox;
let here: PodAgent;
let outside: PodAgent;
const agents: PodAgent[] = [];

before(async () => {
  if (guard.skip !== false) return;
  network = await PodNetwork.make();
  pod = await network.pod();
  other = await network.pod();
  third = await network.pod();
  folder = await mkdtemp(join(tmpdir(), "in-force-"));
  tools = new ToolBox(folder);
  agents.push(...(await Promise.all([pod, other, third].map((one) => PodAgent.start(one, folder)))));
  const [first, second] = agents;
  assert.ok(first !== undefined && second !== undefined);
  here = first;
  outside = second;
  for (const agent of agents) for (const port of [8080, 8081]) await agent.servePage(port);
});

after(async () => {
  if (guard.skip !== false) return;
  for (const agent of agents) await agent.process.kill();
  await network.close();
  await rm(folder, { recursive: true, force: true });
});

/** The addresses of a pod, as a URL has them. */
const hostsOf = ({ address, address6 }: Pod): readonly string[] => [address, `[${address6}]`];

/** What somebody gets from a port of a pod, by each family of addresses. */
const asks = (from: PodAgent, to: Pod, port: number): Promise<readonly string[]> =>
  Promise.all(hostsOf(to).map((host) => from.get(`http://${host}:${port}/`)));

async function reached(from: PodAgent, to: Pod, port: number, why: string): Promise<void> {
  const expected = hostsOf(to).map((host) => `page for ${host}:${port}`);
  assert.deepEqual(await asks(from, to, port), expected, why);
}

async function redirected(from: PodAgent, to: Pod, port: number, why: string): Promise<void> {
  for (const said of await asks(from, to, port)) assert.match(said, REFUSED, why);
}

/** Whether a user of the pod can connect to somebody. */
async function connects(user: number, to: Pod, port: number): Promise<readonly boolean[]> {
  const attempt = (host: string) => pod.run(["bash", "-c", `exec 3<>/dev/tcp/${host}/${port}`], {}, user);
  return (await Promise.all([to.address, to.address6].map(attempt))).map(({ code }) => code === 0);
}

for (const tool of captureTools) {
  const configOf = (exclude: object): object => ({ capture: { rules: tool.rules, exclude } });

  test(
    `${tool.name}: --dry-run changes nothing, and a shell that runs what it prints sets what the command sets`,
    guard,
    async () => {
      const exclude = {
        outboundPorts: [7000],
        inboundPorts: [9090],
        cidrs: ["10.9.0.0/16", "fd09::/16"],
        users: [EXCLUDED],
      };
      const before = await ruleSets(pod);
      const dry = await tools.capture(pod, tool, configOf(exclude), ["--dry-run"]);
      assert.equal(dry.code, 0, dry.stderr);
      assert.equal(await ruleSets(pod), before, "nothing was set");
      const byHand = await tools.shell(other, tool, dry.stdout);
      assert.equal(byHand.code, 0, byHand.stderr);
      assert.equal((await tools.capture(pod, tool, configOf(exclude))).code, 0);
      const set = await ruleSets(pod);
      assert.notEqual(set, before);
      assert.equal(await ruleSets(other), set, "by hand and by the command");

      const dryRemoval = await tools.capture(pod, tool, configOf(exclude), ["--remove", "--dry-run"]);
      assert.equal(dryRemoval.code, 0, dryRemoval.stderr);
      assert.equal(await ruleSets(pod), set, "nothing was removed");
      const removal = await tools.shell(other, tool, dryRemoval.stdout);
      assert.equal(removal.code, 0, removal.stderr);
      assert.doesNotMatch(await ruleSets(other), /redirect|OUTRIGGER|outrigger/i);
    },
  );

  test(
    `${tool.name}: setting twice is setting once, removing twice is removing once, and what was excluded before is forgotten`,
    guard,
    async () => {
      const set = async (): Promise<string> => {
        const done = await tools.capture(pod, tool, configOf({}));
        assert.equal(done.code, 0, done.stderr);
        return await ruleSets(pod);
      };
      const once = await set();
      assert.doesNotMatch(once, /7000|10\.9\./, "nothing is left of what was excluded before");
      assert.equal(await set(), once);
      await redirected(here, other, 8080, "what is called");
      await redirected(outside, pod, 8080, "what others call");
      await reached(here, pod, 8080, "what stays in the pod");
      for (const time of ["once", "twice"]) {
        const removed = await tools.capture(pod, tool, configOf({}), ["--remove"]);
        assert.equal(removed.code, 0, `${time}: ${removed.stderr}`);
        assert.doesNotMatch(await ruleSets(pod), /redirect|OUTRIGGER|outrigger/i);
      }
      await reached(here, other, 8080, "nothing is redirected any more");
      await reached(outside, pod, 8080, "nothing is redirected any more");
    },
  );

  test(
    `${tool.name}: ports, networks and users that are excluded are left alone, over both families, and nothing else`,
    guard,
    async () => {
      const exclude = {
        inboundPorts: [8080],
        outboundPorts: [8081],
        cidrs: [`${third.address}/32`, `${third.address6}/128`],
        users: [EXCLUDED],
      };
      const set = await tools.capture(pod, tool, configOf(exclude));
      assert.equal(set.code, 0, set.stderr);
      try {
        await reached(here, other, 8081, "an excluded port of others");
        await redirected(here, other, 8080, "another one");
        await reached(here, third, 8080, "an excluded network");
        await reached(outside, pod, 8080, "an excluded port of the pod");
        await redirected(outside, pod, 8081, "another one");
        assert.deepEqual(await connects(EXCLUDED, other, 8080), [true, true], "an excluded user");
        assert.deepEqual(await connects(EXCLUDED + 1, other, 8080), [false, false], "another one");
        assert.deepEqual(await connects(15001, other, 8080), [true, true], "the sidecar's own");
      } finally {
        assert.equal((await tools.capture(pod, tool, configOf(exclude), ["--remove"])).code, 0);
      }
    },
  );
}
