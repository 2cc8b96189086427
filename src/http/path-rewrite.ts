import type { HeadEdit } from "./field-edits.ts";
import { withField } from "./head-edit.ts";
import type { Head, HeaderTable } from "./headers.ts";

/** Puts another text in the place of the first so many characters of a path, or of all of it up to its query. */
export class PathRewrite implements HeadEdit {
  private readonly table: HeaderTable;
  private readonly by: string;
  private readonly length: number | undefined;

  /** `length`: characters that go; undefined: all but the query. */
  constructor(table: HeaderTable, by: string, length: number | undefined) {
    this.table = table;
    this.by = by;
    this.length = length;
  }

  apply(head: Head): Head {
    const path = head.get(":path");
    if (path === undefined) return head;
    const query = path.indexOf("?");
    const end = this.length ?? (query < 0 ? path.length : query);
    return withField(this.table, head, ":path", this.by + path.slice(end));
  }
}
