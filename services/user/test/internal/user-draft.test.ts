import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDraft, checkId, patchOf, type UserDraft } from "../../internal/user-draft.ts";

const GOOD: UserDraft = { id: "", email: "ann@x.org", displayName: "Ann", picture: new Uint8Array() };

describe("a draft", () => {
  it("is right with an id, without one, and with texts at their limits", () => {
    const longest = { id: "i".repeat(64), email: `${"e".repeat(248)}@x.org`, displayName: "n".repeat(200) };
    for (const good of [
      GOOD,
      { ...GOOD, id: "A.b_c-9" },
      { ...GOOD, ...longest },
      { ...GOOD, displayName: "Zoë 李" },
    ]) {
      assert.deepEqual(checkDraft(good), []);
    }
  });

  const wrong: [Partial<UserDraft>, string, string][] = [
    [{ id: "i".repeat(65) }, "user.id", 'must be 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"'],
    [{ id: "a/b" }, "user.id", 'must be 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"'],
    [{ email: "" }, "user.email", "is required"],
    [{ email: `${"e".repeat(249)}@x.org` }, "user.email", "must have at most 254 characters"],
    [{ email: "ann" }, "user.email", "must be an address like name@host"],
    [{ email: "ann@" }, "user.email", "must be an address like name@host"],
    [{ email: "a@b@c" }, "user.email", "must be an address like name@host"],
    [{ email: "ann@x.org\n" }, "user.email", "must be an address like name@host"],
    [{ email: "a\u0000b@x.org" }, "user.email", "must be an address like name@host"],
    [{ displayName: "" }, "user.display_name", "is required"],
    [{ displayName: "  " }, "user.display_name", "is required"],
    [{ displayName: "n".repeat(201) }, "user.display_name", "must have at most 200 characters"],
    [{ displayName: "a\u0000b" }, "user.display_name", "must not contain control characters"],
  ];
  for (const [fields, field, description] of wrong) {
    it(`with ${JSON.stringify(fields).slice(0, 40)} is told that ${field} ${description}`, () => {
      assert.deepEqual(checkDraft({ ...GOOD, ...fields }), [{ field, description }]);
    });
  }

  it("is checked in bounded time however hostile its address", () => {
    const started = performance.now();
    checkDraft({ ...GOOD, email: "@".repeat(1_000_000) });
    checkDraft({ ...GOOD, email: "a".repeat(1_000_000) });
    assert.ok(performance.now() - started < 500);
  });
});

describe("an id on its own", () => {
  it("must not be empty", () => {
    assert.equal(checkId("", "id").length, 1);
    assert.deepEqual(checkId("ann", "id"), []);
  });
});

describe("a mask", () => {
  const draft: UserDraft = { id: "ann", email: "new@x.org", displayName: "", picture: Uint8Array.of(1) };

  it("takes the fields that it names, empty ones too where they may be", () => {
    const cleared = { ...draft, picture: new Uint8Array() };
    assert.deepEqual(patchOf(cleared, ["picture"]), { patch: { picture: new Uint8Array() }, violations: [] });
    assert.deepEqual(patchOf(draft, ["email", "email"]), { patch: { email: "new@x.org" }, violations: [] });
  });

  it("that is empty takes the fields that are set", () => {
    assert.deepEqual(patchOf(draft, []), { patch: { email: "new@x.org", picture: Uint8Array.of(1) }, violations: [] });
  });

  it("of a star takes all, so that an empty required one is wrong", () => {
    const { patch, violations } = patchOf(draft, ["*"]);
    assert.deepEqual(Object.keys(patch).sort(), ["displayName", "email", "picture"]);
    assert.deepEqual(violations, [{ field: "user.display_name", description: "is required" }]);
  });

  it("does not mind what is wrong with fields that it does not name", () => {
    assert.deepEqual(patchOf({ ...draft, email: "wrong" }, ["picture"]).violations, []);
  });

  it("is told which of its paths is none that may be changed", () => {
    for (const path of ["id", "version", "displayName", "toString", "", "user.email"]) {
      assert.deepEqual(patchOf(draft, ["email", path]).violations, [
        { field: "update_mask.paths[1]", description: "must be one of email, display_name, picture" },
      ]);
    }
  });

  it("and a draft that are both empty change nothing, which is told", () => {
    const empty = { id: "ann", email: "", displayName: "", picture: new Uint8Array() };
    assert.deepEqual(patchOf(empty, []).violations, [
      { field: "update_mask", description: "is empty, and so is every field that may be changed" },
    ]);
  });
});
