import type { TestEvent } from "node:test/reporters";

/** A reporter that names the files in which a test failed, one a line. */
export default async function* failedFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const told = new Set<string>();
  for await (const event of events) {
    if (event.type !== "test:fail" || event.data.file === undefined || told.has(event.data.file)) continue;
    told.add(event.data.file);
    yield `${event.data.file}\n`;
  }
}
