import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { ecsLine } from "../../src/observability/ecs.ts";

// No Elasticsearch, Logstash or Filebeat runs here. Held is what their documentation and sources say of what our files rely on.

const folder = join(import.meta.dirname, "..", "..", "deploy");
/** Set by Filebeat itself in every event of an input of type filestream, before its processors and whatever comes after. */
const FILEBEAT_SETS = ["@timestamp", "agent", "ecs", "host", "input", "log.file", "log.offset", "message", "stream"];

test("what tells a line of ours from any other is a field that ours have and that Filebeat does not set by itself", () => {
  const filebeat = parse(readFileSync(join(folder, "elk", "filebeat.yaml"), "utf8"));
  const [field] = filebeat.processors[0].add_fields.when.not.has_fields;
  const [, ...logstash] =
    /if !((?:\[\w+\])+) \{/.exec(readFileSync(join(folder, "elk", "logstash.conf"), "utf8")) ?? [];
  assert.deepEqual(logstash, [field.replace(/(\w+)\.?/g, "[$1]")]);
  assert.ok(!FILEBEAT_SETS.some((set) => field === set || field.startsWith(`${set}.`)), field);
  const line = JSON.parse(
    ecsLine('{"level":"info","time":"2030-01-01T00:00:00.000Z","service":"user","msg":"started"}\n'),
  );
  const [outer = "", inner = ""] = field.split(".");
  assert.equal(line[outer][inner], "info");
});

test("logs of the composition go by Filebeat and Logstash into the data stream of the index template", () => {
  const filebeat = parse(readFileSync(join(folder, "compose", "filebeat.yaml"), "utf8"));
  const logstash = readFileSync(join(folder, "elk", "logstash.conf"), "utf8");
  const [, port] = /beats \{ port => (\d+) \}/.exec(logstash) ?? [];
  assert.deepEqual(filebeat.output?.logstash ?? filebeat["output.logstash"], { hosts: [`logstash:${port}`] });
  const part = (name: string) => new RegExp(`data_stream_${name} => "(\\w+)"`).exec(logstash)?.[1];
  const stream = `${part("type")}-${part("dataset")}-${part("namespace")}`;
  const template = JSON.parse(readFileSync(join(folder, "elk", "index-template.json"), "utf8"));
  assert.equal(stream, "logs-outrigger-default");
  assert.ok(template.index_patterns.some((pattern: string) => stream.startsWith(pattern.replace("*", ""))));
  assert.deepEqual(template.data_stream, {});
});
