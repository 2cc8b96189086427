import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../src/core/clock.ts";
import { namesOnTheWay } from "../../src/core/links-on-the-way.ts";
import { watchFile } from "../../src/core/watch-file.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually } from "../support/with-proxy.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-watch-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Counts how often a file is told of, and waits for the next time. */
async function watching(file: string, body: (told: () => Promise<void>) => Promise<void>): Promise<void> {
  let count = 0;
  let expected = 0;
  const stop = watchFile(file, systemClock, () => void count++);
  try {
    await body(async () => {
      expected++;
      await eventually(
        () => count >= expected,
        () => `change ${expected} was not told of`,
        1500,
      );
      // Whatever belongs to the same change comes within the quiet time.
      await sleep(120);
      expected = count;
    });
  } finally {
    stop();
  }
}

async function version(folder: string, name: string, text: string): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "outrigger.yaml"), text);
}

async function point(folder: string, link: string, target: string): Promise<void> {
  await symlink(target, join(folder, `${link}.new`));
  await rename(join(folder, `${link}.new`), join(folder, link));
}

test("a file that is written in place, replaced, or taken away and put back is told of", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "outrigger.yaml");
    await writeFile(file, "a");
    await watching(file, async (told) => {
      await writeFile(file, "b");
      await told();
      await writeFile(`${file}.new`, "c");
      await rename(`${file}.new`, file);
      await told();
      await rm(file);
      await told();
      await writeFile(file, "d");
      await told();
    });
  });
});

test("a link that is swapped beside the file, as a ConfigMap does it, is told of each time", async () => {
  await inFolder(async (folder) => {
    await version(folder, "..1", "a");
    await symlink("..1", join(folder, "..data"));
    await symlink("..data/outrigger.yaml", join(folder, "outrigger.yaml"));
    await watching(join(folder, "outrigger.yaml"), async (told) => {
      for (const name of ["..2", "..3"]) {
        await version(folder, name, name);
        await point(folder, "..data", name);
        await told();
        await writeFile(join(folder, name, "outrigger.yaml"), "written where it leads to now");
        await told();
      }
    });
  });
});

test("a link on the way to the file that is swapped is told of", async () => {
  await inFolder(async (folder) => {
    await version(folder, "one", "a");
    await version(folder, "two", "b");
    await symlink("one", join(folder, "current"));
    await watching(join(folder, "current", "outrigger.yaml"), async (told) => {
      await point(folder, "current", "two");
      await told();
      await writeFile(join(folder, "two", "outrigger.yaml"), "c");
      await told();
    });
  });
});

test("a file that is still being written is told of once it has been quiet for 75 ms", () => {
  const clock = new FakeClock();
  let change = (): void => {};
  let count = 0;
  const stop = watchFile(
    "/nowhere/outrigger.yaml",
    clock,
    () => void count++,
    (folder, told) => {
      if (folder === "/nowhere") change = () => told("outrigger.yaml");
      return () => {};
    },
  );
  for (let at = 0; at < 10; at++) {
    change();
    clock.advance(50);
  }
  assert.equal(count, 0);
  clock.advance(25);
  assert.equal(count, 1);
  stop();
  assert.equal(clock.pending, 0);
});

test("other files of the folder are not told of, and a folder that tells of nothing is looked at every 2 s", () => {
  const clock = new FakeClock();
  let count = 0;
  let tell: (name: string | null) => void = () => {};
  const stop = watchFile(
    "/nowhere/outrigger.yaml",
    clock,
    () => void count++,
    (_folder, told) => {
      tell = told;
      return () => {};
    },
  );
  tell("something-else");
  clock.advance(2074);
  assert.equal(count, 0);
  clock.advance(1);
  assert.equal(count, 1);
  stop();
});

test("a look that falls into a write waits for its end, also where the folder tells of nothing", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "outrigger.yaml");
    await writeFile(file, "");
    const clock = new FakeClock();
    let count = 0;
    const stop = watchFile(
      file,
      clock,
      () => void count++,
      () => () => {},
    );
    clock.advance(2000);
    for (const text of ["drain:", "drain: { not", "drain: { notice: 1s }"]) {
      await writeFile(file, text);
      clock.advance(75);
      assert.equal(count, 0);
    }
    clock.advance(75);
    assert.equal(count, 1);
    stop();
  });
});

test("every link on the way is named, and the file at its end; a loop of links has an end", async () => {
  await inFolder(async (folder) => {
    await version(folder, "one", "a");
    await symlink("one", join(folder, "current"));
    await symlink("current/outrigger.yaml", join(folder, "file"));
    assert.deepEqual(namesOnTheWay(join(folder, "file")), [
      join(folder, "file"),
      join(folder, "current"),
      join(folder, "one", "outrigger.yaml"),
    ]);
    await symlink("loop", join(folder, "loop"));
    assert.ok(namesOnTheWay(join(folder, "loop")).length <= 41);
    assert.deepEqual(namesOnTheWay(join(folder, "absent")), [join(folder, "absent")]);
  });
});
