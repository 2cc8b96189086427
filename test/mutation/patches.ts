/** A fault that the suite has to notice. */
export interface Patch {
  /** What is broken by it. */
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly from: string;
  readonly to: string;
  /** Where it has to be noticed, as globs. */
  readonly tests: readonly string[];
}

const ENGINE = ["test/http2/*.test.ts"];
const CONNECTIONS = ["test/http2/connection-*.test.ts", "test/http2/budgets.test.ts"];
const TABLES = ["test/http2/hpack/*.test.ts"];
const FUZZ = ["test/fuzz/*.test.ts"];
const BENCH = ["test/bench/engine.test.ts"];
const FLOW = ["test/integration/flow-control.test.ts"];
const PAIRS = ["test/integration/stream-pair/*.test.ts"];
const RELOAD = ["test/runtime/reload-waiting.test.ts"];
const HEALTH = ["test/cluster/health/*.test.ts"];
const CHOICE = ["test/cluster/choosing.test.ts", "test/cluster/balancers/*.test.ts"];
const LIMITS = ["test/limits/[a-l]*.test.ts"];
const MTLS = ["test/identity/*.test.ts", "test/integration/mtls/{modes,identity,sessions}.test.ts"];
const RETRIES = ["test/integration/retr*.test.ts"];

export const patches: readonly Patch[] = [
  {
    name: "a budget is removed: resets cost a caller nothing",
    file: "src/http2/receiver.ts",
    from: 'if (stream === undefined || this.host.role === "server") this.spend("resets");',
    to: "",
    tests: ENGINE,
  },
  {
    name: "a budget is removed: empty DATA costs nothing",
    file: "src/http2/receiver.ts",
    from: 'if (length === 0 && !endStream) this.spend("emptyData");',
    to: "",
    tests: ENGINE,
  },
  {
    name: "a budget never runs out",
    file: "src/http2/budgets.ts",
    from: "state.tokens -= 1;",
    to: "",
    tests: ["test/http2/budgets.test.ts"],
  },
  {
    name: "a stream's window is never credited",
    file: "src/http2/receiver.ts",
    from: "if (increment > 0) this.sender.windowUpdate(stream.id, increment);",
    to: "",
    tests: [...CONNECTIONS, ...FLOW],
  },
  {
    name: "the connection's window is not credited for what a reset stream held",
    file: "src/http2/receiver.ts",
    from: "if (stream.unreleased > 0) this.letGo(stream.unreleased);",
    to: "",
    tests: ENGINE,
  },
  {
    name: "the connection's window is not credited for DATA that nobody reads",
    file: "src/http2/receiver.ts",
    from: 'if (stream === undefined || stream.state === "closed") {\n      this.credit(octets);',
    to: 'if (stream === undefined || stream.state === "closed") {',
    tests: ENGINE,
  },
  {
    name: "padding is not credited",
    file: "src/http2/receiver.ts",
    from: "onPadding(octets: number): void {\n    this.credit(octets);",
    to: "onPadding(octets: number): void {",
    tests: ENGINE,
  },
  {
    name: "a backpressure pause is dropped: a congested transport is written to",
    file: "src/http2/sender.ts",
    from: "return this.output.inFlight >= CONGESTED;",
    to: "return false;",
    tests: [...ENGINE, ...FLOW],
  },
  {
    name: "a backpressure pause is dropped: an answer is credited before its caller has taken it",
    file: "src/proxy/forward.ts",
    from: "this.stream?.release(this.attempt.host.passData(buffer, start, end, fin, this.attempt));",
    to: "this.attempt.host.passData(buffer, start, end, fin, this.attempt);\n    this.stream?.release(end - start);",
    tests: FLOW,
  },
  {
    name: "one stream writes until it is done, whoever waits",
    file: "src/http2/sender.ts",
    from: "stream.drain(QUANTUM)",
    to: "stream.drain(Number.POSITIVE_INFINITY)",
    tests: ["test/http2/sender.test.ts", "test/http2/waiting-streams.test.ts", ...CONNECTIONS],
  },
  {
    name: "a state transition is wrong: the end of the answer leaves the stream half open",
    file: "src/http2/stream-state.ts",
    from: 'return state === "halfClosedLocal" ? "closed" : undefined;',
    to: 'return state === "halfClosedLocal" ? "halfClosedRemote" : undefined;',
    tests: ["test/http2/stream-state.test.ts"],
  },
  {
    name: "HPACK eviction is off by one",
    file: "src/http2/hpack/dynamic-table.ts",
    from: "const room = this.maxSize - size;",
    to: "const room = this.maxSize - size + 1;",
    tests: TABLES,
  },
  {
    name: "an HPACK table size update is lost",
    file: "src/http2/hpack/encoder.ts",
    from: "const start = this.updates.due ? this.updates.write(out, at) : at;",
    to: "const start = at;",
    tests: TABLES,
  },
  {
    name: "trailers behind queued DATA do not end the stream",
    file: "src/http2/stream.ts",
    from: "this.host.writeHead(this, this.end.head, true);",
    to: "this.host.writeHead(this, this.end.head, false);",
    tests: ENGINE,
  },
  {
    name: "a new initial window is not applied to streams that are open",
    file: "src/http2/connection.ts",
    from: "if (!stream.send.increase(windowChange))",
    to: "if (!stream.send.increase(0))",
    tests: CONNECTIONS,
  },
  {
    name: "GOAWAY is ignored: the connection takes new streams",
    file: "src/http2/connection.ts",
    from: "this.goawayReceived = true;",
    to: "",
    tests: ["test/cluster/connection-pool-goaway.test.ts"],
  },
  {
    name: "streams that GOAWAY leaves out are not told",
    file: "src/http2/connection.ts",
    from: "if (stream.id <= lastStreamId || !this.isOurs(stream.id)) continue;",
    to: "continue;",
    tests: [...CONNECTIONS, ...RETRIES],
  },
  {
    name: "a deadline is not propagated",
    file: "src/proxy/attempt.ts",
    from: 'return withField(services.headers, head, "grpc-timeout", formatTimeout(deadline.at - now));',
    to: "return head;",
    tests: ["test/integration/deadlines.test.ts"],
  },
  {
    name: "a call that may have run is made again",
    file: "src/proxy/forward.ts",
    from: 'return abort.kind === "reset" && abort.code === ErrorCode.REFUSED_STREAM ? "refused" : undefined;',
    to: 'return "refused";',
    tests: RETRIES,
  },
  {
    name: "a call is made again with a body that is not whole",
    file: "src/proxy/attempt.ts",
    from: "if (!body.complete) return",
    to: "if (body.complete && !body.complete) return",
    tests: RETRIES,
  },
  {
    name: "a caller's cancel is not passed on",
    file: "src/proxy/exchange.ts",
    from: "this.sending?.stop(code);",
    to: "",
    tests: ["test/integration/cancellation.test.ts"],
  },
  {
    name: "cancels are reset at any pace",
    file: "src/http2/cancels.ts",
    from: "if (this.delay(stream, now) === 0) stream.reset(code);\n    else this.waiting",
    to: "if (this.delay(stream, now) >= 0) stream.reset(code);\n    else this.waiting",
    tests: ["test/http2/cancels.test.ts"],
  },
  {
    name: "fields in our name that come from an application are passed on",
    file: "src/proxy/forward.ts",
    from: "return this.connection.peer.sidecar ? edits.consumed.apply(head) : edits.foreign.apply(head);",
    to: "return this.connection.peer.sidecar ? edits.consumed.apply(head) : head;",
    tests: ["test/integration/own-fields.test.ts"],
  },
  {
    name: "fuzzing: a frame's header that comes in pieces is put together wrongly",
    file: "src/http2/frame-decoder.ts",
    from: "chunk.copy(this.partialHeader, this.have, at, at + take);",
    to: "chunk.copy(this.partialHeader, 0, at, at + take);",
    tests: FUZZ,
  },
  {
    name: "fuzzing: an HPACK entry that was evicted is found",
    file: "src/http2/hpack/dynamic-table.ts",
    from: "return age > this.length ? undefined",
    to: "return age > this.length + 1 ? undefined",
    tests: FUZZ,
  },
  {
    name: "fuzzing: a host that is none is passed on",
    file: "src/http2/fields.ts",
    from: 'if (kind === "request" && !field.slot && TARGET.get',
    to: 'if (kind === "request" && !field.slot && REQUEST_PSEUDO.get',
    tests: FUZZ,
  },
  {
    name: "fuzzing: octets of a stream that has ended are told",
    file: "src/http2/receiver.ts",
    from: 'this.violation(stream, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream");',
    to: "this.dataStream = stream;",
    tests: FUZZ,
  },
  {
    name: "stream pairs: a caller is not told that its request is unwanted",
    file: "src/proxy/forward.ts",
    from: "this.attempt.host.upstreamGone(this.attempt);",
    to: "",
    tests: PAIRS,
  },
  {
    name: "stream pairs: nor where its answer has yet to leave",
    file: "src/http2/stream.ts",
    from: "if (this.resetAfter !== undefined) this.reset(this.resetAfter);",
    to: "",
    tests: PAIRS,
  },
  {
    name: "a call that waits is lost where a reload gives its upstream up",
    file: "src/proxy/exchange.ts",
    from: "this.target?.cluster.isClosed === true",
    to: "this.target === undefined",
    tests: RELOAD,
  },
  {
    name: "an upstream that is no longer declared loses its connections although it may be looked up",
    file: "src/runtime/upstreams.ts",
    from: "if (this.lookUpInstead(name, target.cluster)) continue;",
    to: "",
    tests: RELOAD,
  },
  {
    name: "a drain does not wait until callers know which of their calls was the last",
    file: "src/runtime/drain.ts",
    from: "() => inbound.acceptor.drained",
    to: "() => inbound.acceptor.pendingCalls === 0",
    tests: ["test/runtime/drain.test.ts"],
  },
  {
    name: "a connection that is closed amid a graceful end does not say which stream was the last",
    file: "src/http2/connection.ts",
    from: "if (this.takesStreams || code",
    to: "if (this.goawaySent === undefined || code",
    tests: CONNECTIONS,
  },
  {
    name: "a caller that is gone without a word is never asked",
    file: "src/proxy/acceptor.ts",
    from: "this.keepalive.touch();",
    to: "",
    tests: ["test/integration/half-open.test.ts"],
  },
  {
    name: "whoever makes keys up resets the limits of others",
    file: "src/limits/key-table.ts",
    from: "if (allowance.fresh(now)) this.entries.delete(key);",
    to: "this.entries.delete(key);",
    tests: LIMITS,
  },
  {
    name: "credit of a shared limit is given again and again",
    file: "src/limits/lease.ts",
    from: "const wanted = this.batch - this.balance;",
    to: "const wanted = this.batch; this.balance = 0;",
    tests: LIMITS,
  },
  {
    name: "without its store a shared limit begins anew",
    file: "src/limits/lease.ts",
    from: "if (local.ready(now)) local.take(now);",
    to: "if (!store.up && local.ready(now)) local.take(now);",
    tests: LIMITS,
  },
  {
    name: "a call that a later limit refuses is charged to the earlier ones",
    file: "src/limits/limit-group.ts",
    from: "if (allowance.ready(now)) charged.push(allowance);",
    to: "if (allowance.ready(now)) allowance.take(now);",
    tests: LIMITS,
  },
  {
    name: "a learned limit takes a queue for the latency of the service",
    file: "src/limits/adaptive-limit.ts",
    from: 'if (this.phase === "emptying") this.phase = "probing";',
    to: "if (false) return;",
    tests: LIMITS,
  },
  {
    name: "a call that is shed keeps its place",
    file: "src/filters/adaptive-concurrency.ts",
    from: "place.giveBack(call, outcome);",
    to: "",
    tests: LIMITS,
  },
  {
    name: "speed: a header block is spelled out for each call",
    file: "src/http2/hpack/encoder.ts",
    from: "if (block === undefined || block.version !== this.table.version) return",
    to: "if (block !== null) return",
    tests: BENCH,
  },
  {
    name: "speed: what is written in a turn leaves in many writes",
    file: "src/http2/sender.ts",
    from: "if (at > start) this.mark();\n    return at - start;",
    to: "if (at > start) this.flush();\n    return at - start;",
    tests: BENCH,
  },
  {
    name: "health: any number of endpoints may be ejected",
    file: "src/cluster/health/outlier-detection.ts",
    from: "if (!again && !this.mayEject()) {",
    to: "if (!again && this.halfOpen.length < 0) {",
    tests: HEALTH,
  },
  {
    name: "health: a call from before the trial decides it",
    file: "src/cluster/health/outlier-detection.ts",
    from: 'report.startedAt < outlier.triedAt || state.kind !== "halfOpen"',
    to: 'state.kind !== "halfOpen"',
    tests: HEALTH,
  },
  {
    name: "health: every call that a connection took with it counts",
    file: "src/cluster/health/outlier-detection.ts",
    from: "report.startedAt <= outlier.lostAt",
    to: "report.startedAt < 0",
    tests: HEALTH,
  },
  {
    name: "health: what a caller brings about counts against the endpoint",
    file: "src/cluster/health/verdict.ts",
    from: '? "neutral" : "good";',
    to: '? "neutral" : "bad";',
    tests: HEALTH,
  },
  {
    name: "balancing: a zone takes all calls while anything of it is left",
    file: "src/cluster/choice/levels.ts",
    from: "usable.length / total / spillBelow",
    to: "1",
    tests: CHOICE,
  },
  {
    name: "balancing: latency does not follow a rise at once",
    file: "src/cluster/latency.ts",
    from: "|| ms >= before",
    to: "",
    tests: CHOICE,
  },
  {
    name: "balancing: a new endpoint gets its whole share at once",
    file: "src/cluster/slow-start.ts",
    from: "if (age >= window) return 1;",
    to: "if (age >= 0) return 1;",
    tests: CHOICE,
  },
  {
    name: "balancing: a key has another place on the ring in every sidecar",
    file: "src/cluster/balancers/ring-hash.ts",
    from: "const base = hashText(id);",
    to: "const base = hashText(id, performance.now());",
    tests: CHOICE,
  },
  {
    name: "a peer without a certificate is let in where TLS says that it is authorized",
    file: "src/identity/credentials.ts",
    from: 'if (certificate === undefined) return { refused: "noCertificate", why: "it showed no certificate" };',
    to: "if (certificate === undefined) return this.own;",
    tests: MTLS,
  },
  {
    name: "a session outlives the certificate of its peer",
    file: "src/identity/credentials.ts",
    from: "if (now >= peer.notAfter) return",
    to: "if (now < 0) return",
    tests: MTLS,
  },
  {
    name: "an authority speaks for every trust domain",
    file: "src/identity/credentials.ts",
    from: "if (!leadsTo(chain(), authorities))",
    to: "if (chain().length === 0)",
    tests: MTLS,
  },
  {
    name: "whoever has a good certificate is the service that was dialled",
    file: "src/cluster/upstream-tls.ts",
    from: "if (!expected.matches(who.id))",
    to: 'if (!expected.matches(who.id) && who.id.text === "")',
    tests: ["test/integration/mtls/identity.test.ts"],
  },
  {
    name: "a mark that is gone from the catalog leads to plaintext",
    file: "src/cluster/upstream-tls.ts",
    from: 'if (!isLost) return "plaintext";',
    to: 'return "plaintext";',
    tests: ["test/integration/status-table/*.test.ts"],
  },
  {
    name: "x-forwarded-client-cert of a stranger is believed",
    file: "src/proxy/forwarded.ts",
    from: "const isStrange = (name: string): boolean => name === CLIENT_CERT ||",
    to: "const isStrange = (name: string): boolean =>",
    tests: MTLS,
  },
];
