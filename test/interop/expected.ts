/** What the test descriptions want of a case's calls: each call's status, and the sizes of the messages that came. */
interface Expected {
  readonly code: number;
  readonly details?: string;
  readonly sizes: readonly number[];
}

const LARGE: Expected = { code: 0, sizes: [314_159] };
const STATUS: Expected = { code: 2, details: "test status message", sizes: [] };
const UNICODE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

const expected: Readonly<Record<string, readonly Expected[]>> = {
  empty_unary: [{ code: 0, sizes: [0] }],
  large_unary: [LARGE],
  client_streaming: [{ code: 0, sizes: [74_922] }],
  server_streaming: [{ code: 0, sizes: [31_415, 9, 2653, 58_979] }],
  ping_pong: [{ code: 0, sizes: [31_415, 9, 2653, 58_979] }],
  empty_stream: [{ code: 0, sizes: [] }],
  client_compressed_unary: [LARGE],
  client_compressed_streaming: [{ code: 0, sizes: [73_086] }],
  server_compressed_unary: [LARGE, LARGE],
  server_compressed_streaming: [{ code: 0, sizes: [31_415, 92_653] }],
  custom_metadata: [
    { code: 0, sizes: [1] },
    { code: 0, sizes: [1] },
  ],
  status_code_and_message: [STATUS, STATUS],
  special_status_message: [{ code: 2, details: UNICODE, sizes: [] }],
  unimplemented_method: [{ code: 12, sizes: [] }],
  unimplemented_service: [{ code: 12, sizes: [] }],
  cancel_after_begin: [{ code: 1, sizes: [] }],
  cancel_after_first_response: [{ code: 1, sizes: [31_415] }],
  timeout_on_sleeping_server: [{ code: 4, sizes: [] }],
  // Of many calls that are all alike one is told.
  rpc_soak: [LARGE],
  channel_soak: [LARGE],
  concurrent_large_unary: [LARGE],
};

const METADATA = {
  head: { "x-grpc-test-echo-initial": ["test_initial_metadata_value"] },
  trailers: { "x-grpc-test-echo-trailing-bin": ["CgsKCwoL"] },
};

/** What is wrong with what was seen of a case's calls; undefined where nothing is. */
export function faults(name: string, seen: readonly object[]): string | undefined {
  const wanted = expected[name];
  if (wanted === undefined) return `no case is called ${name}`;
  if (seen.length !== wanted.length) return `${seen.length} calls or kinds of calls: ${JSON.stringify(seen)}`;
  const wrong = wanted.flatMap((want, at) => differences(want, seen[at] ?? {}));
  if (name === "custom_metadata") wrong.push(...seen.flatMap((call) => differences(METADATA, call)));
  return wrong.length === 0 ? undefined : wrong.join("; ");
}

/** Where `seen` does not hold all of `wanted`; of objects, what `wanted` names. */
export function differences(wanted: object, seen: object): string[] {
  return Object.entries(wanted).flatMap(([key, want]): string[] => {
    const got: unknown = Reflect.get(seen, key);
    const inside = typeof want === "object" && want !== null && !Array.isArray(want);
    if (inside && typeof got === "object" && got !== null) return differences(want, got);
    return JSON.stringify(got) === JSON.stringify(want) ? [] : [`${key} is ${JSON.stringify(got)}`];
  });
}
