import { isOfTheHead, nameAsRead } from "../http/field-name.ts";
import { HeadFilter } from "../http/head-edit.ts";
import type { Head, HeaderTable } from "../http/headers.ts";

/** What of the trailers of requests goes on: not what stands in heads only, and not what callers may not say at all. */
export class RequestTrailers {
  private readonly table: HeaderTable;
  private reserved: ReadonlySet<string> = new Set();
  private filter: HeadFilter;

  constructor(table: HeaderTable) {
    this.table = table;
    this.filter = this.makeFilter();
  }

  /** `names`: fields of which callers may say none, in force for trailers that come from now on. */
  reserve(names: readonly string[]): void {
    this.reserved = new Set(names.map(nameAsRead));
    this.filter = this.makeFilter();
  }

  apply(trailers: Head): Head {
    return this.filter.apply(trailers);
  }

  /** Whether a field goes on. */
  passes(name: string): boolean {
    return !isOfTheHead(name) && !this.reserved.has(nameAsRead(name));
  }

  private makeFilter(): HeadFilter {
    return new HeadFilter(this.table, (name) => !this.passes(name));
  }
}
