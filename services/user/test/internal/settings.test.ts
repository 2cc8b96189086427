import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readSettings, SettingsError, USAGE } from "../../internal/settings.ts";

describe("the settings", () => {
  it("have a default for each", () => {
    const settings = readSettings([], {});
    assert.ok(settings !== "help");
    const { instance, ...rest } = settings;
    assert.match(instance, new RegExp(`-${process.pid}$`));
    assert.deepEqual(rest, {
      listen: "127.0.0.1:50051",
      database: ":memory:",
      databaseConnections: 10,
      maxMessageBytes: 134_217_728,
      maxConcurrentStreams: undefined,
      maxConnectionAgeMs: undefined,
      graceMs: 10_000,
      logLevel: "info",
    });
  });

  const all: [string, string, string, unknown][] = [
    ["listen", "LISTEN", "unix:/run/user.sock", "unix:/run/user.sock"],
    ["database", "DATABASE", "/var/lib/users.db", "/var/lib/users.db"],
    ["database-connections", "DATABASE_CONNECTIONS", "3", 3],
    ["instance", "INSTANCE_ID", "replica-1", "replica-1"],
    ["max-message-bytes", "MAX_MESSAGE_BYTES", "-1", -1],
    ["max-concurrent-streams", "MAX_CONCURRENT_STREAMS", "7", 7],
    ["max-connection-age", "MAX_CONNECTION_AGE_MS", "200", 200],
    ["grace", "GRACE_MS", "0", 0],
    ["log-level", "LOG_LEVEL", "debug", "debug"],
  ];
  const inMs = new Set(["grace", "max-connection-age"]);
  const nameOf = (flag: string) =>
    flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) + (inMs.has(flag) ? "Ms" : "");

  for (const [flag, variable, text, value] of all) {
    it(`take --${flag} and ${variable}, and the usage names both`, () => {
      for (const settings of [readSettings([`--${flag}=${text}`], {}), readSettings([], { [variable]: text })]) {
        assert.ok(settings !== "help");
        assert.equal(Object.entries(settings).find(([name]) => name === nameOf(flag))?.[1], value);
      }
      assert.match(USAGE, new RegExp(`--${flag} [A-Z]+ +${variable} `));
    });
  }

  it("prefer a flag to its variable, and take an empty variable as absent", () => {
    const settings = readSettings(["--listen=:1"], { LISTEN: ":2", DATABASE: "" });
    assert.ok(settings !== "help");
    assert.deepEqual([settings.listen, settings.database], [":1", ":memory:"]);
  });

  const wrong: [string, RegExp][] = [
    ["--max-message-bytes=64MiB", /^max message bytes is "64MiB", expected a whole number from -1 to 2147483647$/],
    ["--max-message-bytes=-2", /^max message bytes is "-2", expected/],
    ["--database-connections=0", /^database connections is "0", expected a whole number from 1/],
    ["--max-concurrent-streams=0", /^max concurrent streams is "0", expected a whole number from 1/],
    ["--max-connection-age=0", /^max connection age is "0", expected a whole number from 1/],
    ["--grace=99999999999", /^grace is "99999999999", expected/],
    ["--log-level=loud", /^log level "loud" is none of trace, debug,/],
    ["--instance=ä", /^instance is "ä", expected 1 to 128 printable ASCII/],
    ["--port=1", /--port/],
    ["stray", /stray/],
  ];
  for (const [argument, message] of wrong) {
    it(`refuse ${argument} with a message that names it`, () => {
      assert.throws(
        () => readSettings([argument], {}),
        (error) => error instanceof SettingsError && message.test(error.message),
      );
    });
  }

  it("may be a request for help", () => {
    assert.equal(readSettings(["--help"], {}), "help");
  });
});
