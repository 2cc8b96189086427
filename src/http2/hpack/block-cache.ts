import type { HeaderList } from "../../http/headers.ts";
import type { RenderedBlock } from "./rendered-block.ts";

/** Lists remembered: a connection carries some dozens. */
const MAX_LISTS = 256;
/** Octets of their blocks: some dozens each. */
const MAX_OCTETS = 64 * 1024;

/** The lists that an encoder has seen, with the blocks of those that it has rendered. Full, it forgets all and starts anew. */
export class BlockCache {
  private readonly blocks = new Map<HeaderList, RenderedBlock | undefined>();
  private octets = 0;

  /** Sizes, for tests. */
  get stats(): { lists: number; octets: number } {
    return { lists: this.blocks.size, octets: this.octets };
  }

  get(list: HeaderList): RenderedBlock | undefined {
    return this.blocks.get(list);
  }

  /** Remembers `list`; returns whether it was known. */
  see(list: HeaderList): boolean {
    if (this.blocks.has(list)) return true;
    this.put(list, undefined);
    return false;
  }

  put(list: HeaderList, block: RenderedBlock | undefined): void {
    this.octets += (block?.size ?? 0) - (this.blocks.get(list)?.size ?? 0);
    this.blocks.set(list, block);
    if (this.blocks.size <= MAX_LISTS && this.octets <= MAX_OCTETS) return;
    this.blocks.clear();
    this.octets = 0;
  }
}
