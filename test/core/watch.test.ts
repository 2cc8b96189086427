import assert from "node:assert/strict";
import { test } from "node:test";
import { Watch } from "../../src/core/watch.ts";

test("a listener hears of each change once, with the value in place", () => {
  const watch = new Watch(1);
  const heard: [told: number, current: number][] = [];
  watch.onChange((value) => heard.push([value, watch.current]));
  watch.set(2);
  watch.set(2);
  assert.deepEqual(heard, [
    [2, 2],
    [2, 2],
  ]);
});

test("a listener that was removed hears nothing more, and removing it twice does nothing", () => {
  const watch = new Watch("a");
  const heard: string[] = [];
  const remove = watch.onChange((value) => heard.push(`one ${value}`));
  watch.onChange((value) => heard.push(`two ${value}`));
  remove();
  remove();
  watch.set("b");
  assert.deepEqual(heard, ["two b"]);
});

test("a listener that is added during a notice waits for the next one", () => {
  const watch = new Watch(0);
  const heard: number[] = [];
  const stop = watch.onChange(() => {
    stop();
    watch.onChange((value) => heard.push(value));
  });
  watch.set(1);
  assert.deepEqual(heard, []);
  watch.set(2);
  assert.deepEqual(heard, [2]);
});
