import { isDeepStrictEqual } from "node:util";

const ANN = { id: "ann", email: "ann@x.org", name: "ann", picture: 3, dated: true };
const ANSWER = { code: 0, user: ANN, instance: true };
const GONE = { code: 5, details: 'user "~ann" not found' };
const invalid = (details: string, ...fields: string[]) => ({ code: 3, details, fields });

/** What has to be seen of each case's calls, whichever user service is called, in whatever language. */
const expected: Readonly<Record<string, readonly object[]>> = {
  unary: [ANSWER, ANSWER, { ...ANSWER, user: { ...ANN, name: "Changed" } }, { code: 0 }, GONE],
  statuses: [
    { code: 6, details: 'a user with id "~ann" already exists' },
    { code: 6, details: 'a user with email "~ann@x.org" already exists' },
    invalid(
      'user.id must be # to # of a-z, a-z, #-#, ".", "_" and "-"; user.email must be an address like name@host; ' +
        "user.display_name is required",
      "user.id",
      "user.email",
      "user.display_name",
    ),
    { code: 10, details: 'user "~ann" is at version # by now' },
    { code: 5, details: 'user "~nobody" not found' },
    invalid("update_mask is empty, and so is every field that may be changed", "update_mask"),
    invalid("update_mask.paths[#] must be one of email, display_name, picture", "update_mask.paths[0]"),
    invalid('id must be # to # of a-z, a-z, #-#, ".", "_" and "-"', "id"),
    { code: 10, details: 'user "~ann" is at version # by now' },
    invalid(
      "page_size must not be negative; page_token is not a token that this service gave",
      "page_size",
      "page_token",
    ),
    {
      code: 11,
      details: "changes after revision # are not known, only those after # to #: list, then watch from now",
    },
  ],
  large: [{ octets: 6 * 1024 * 1024, hash: "23e69e81b7074c8c8962c1daa2951667c4211725c45503d475b4988890c6ec67" }],
  many: [{ created: 200, found: 200 }],
  health: [{ code: 0, status: 1 }, { code: 0, status: 1 }, { code: 5, details: "unknown service" }, { status: 1 }],
  list: [{ ids: Array.from({ length: 25 }, (_, at) => `${at}`.padStart(2, "0")), resumed: true }],
  import: [
    {
      created: 2,
      failed: 3,
      errors: [
        { index: 1, code: 6 },
        { index: 2, code: 3 },
        { index: 3, code: 6 },
      ],
    },
  ],
  watch: [{ events: ["start", "put bob bob", "put bob Changed", "deleted bob"], growing: true, code: 1 }],
  resume: [{ events: ["start", "put cid cid", "deleted bob"], growing: true, code: 1 }],
  sync: [{ events: ["start", "ack one 0", "put other other", "ack two 5", "ack three 6"], ended: true }],
  deadline: [{ events: ["start"], code: 4 }],
};

export const userCases = Object.keys(expected);

/** What is wrong with what was seen of a case's calls; undefined where nothing is. */
export function userFaults(name: string, seen: readonly object[]): string | undefined {
  if (isDeepStrictEqual(seen, expected[name])) return undefined;
  return `saw ${JSON.stringify(seen)}, expected ${JSON.stringify(expected[name])}`;
}
