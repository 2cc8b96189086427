import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { idOfPageToken, pageTokenOf } from "../../internal/page-token.ts";

describe("a page token", () => {
  it("gives back its id, and is fit for a URL", () => {
    for (const id of ["a", "A.b_c-9", "x".repeat(64)]) {
      assert.equal(idOfPageToken(pageTokenOf(id)), id);
      assert.match(pageTokenOf(id), /^[A-Za-z0-9_-]+$/);
    }
  });

  it("does not show its id", () => {
    assert.doesNotMatch(pageTokenOf("annabel"), /annabel/);
  });

  it("with any one character changed, added or taken away is none", () => {
    const token = pageTokenOf("annabel");
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === "A" ? "B" : "A";
      assert.equal(idOfPageToken(token.slice(0, at) + other + token.slice(at + 1)), undefined, `changed at ${at}`);
      assert.equal(idOfPageToken(token.slice(0, at) + token.slice(at + 1)), undefined, `without ${at}`);
    }
    for (const text of [`${token}A`, `${token}=`, ` ${token}`, `${token}\n`, "", "annabel", "ÿ"]) {
      assert.equal(idOfPageToken(text), undefined, JSON.stringify(text));
    }
  });
});
