import { type Address, formatAddress } from "../../core/address.ts";
import { NameBook } from "../name-book.ts";
import { NameState } from "../name-state.ts";
import type { DiscoveryServices } from "../services.ts";
import { type NameWatch, SharedWatches } from "../shared-watches.ts";
import type { CachedAnswer, DiscoverySource, EndpointSpec, Subscription } from "../source.ts";
import { DirectoryReader, type DirectoryView } from "./reader.ts";
import type { DirectoryRecord } from "./record.ts";

/** `discovery.directory`. */
export interface DirectoryOptions {
  /** The folder; made with mode 0700 where it is not there. */
  readonly path: string;
}

/** The embedded registry of one machine: the sidecars that have put a file into a folder. */
export class DirectorySource implements DiscoverySource {
  readonly kind = "directory";
  private readonly options: DirectoryOptions;
  private readonly services: DiscoveryServices;
  private readonly book: NameBook;
  private readonly names: SharedWatches<DirectoryWatch>;
  /** Reads for as long as anybody holds a name; undefined while nobody does. */
  private reader: DirectoryReader | undefined;
  private view: DirectoryView | undefined;
  private held = 0;

  constructor(options: DirectoryOptions, services: DiscoveryServices) {
    this.options = options;
    this.services = services;
    this.book = new NameBook(this.kind, options.path, services);
    this.names = new SharedWatches((name, _demand, before) => this.open(name, before));
  }

  subscribe(name: string, before?: CachedAnswer): Subscription {
    return this.names.subscribe(name, before);
  }

  async close(): Promise<void> {
    await this.names.close();
  }

  private open(name: string, before: CachedAnswer | undefined): DirectoryWatch {
    const list = new NameState(name, this.book, before);
    const watch = new DirectoryWatch(name, list, () => this.release());
    this.held += 1;
    this.reader ??= new DirectoryReader(this.options.path, this.services, (view) => this.show(view));
    if (this.view !== undefined) watch.show(this.view);
    return watch;
  }

  private show(view: DirectoryView): void {
    this.view = view;
    for (const [, watch] of this.names.watches()) watch.show(view);
  }

  private async release(): Promise<void> {
    this.held -= 1;
    if (this.held > 0) return;
    const { reader } = this;
    this.reader = undefined;
    this.view = undefined;
    await reader?.stop();
  }
}

class DirectoryWatch implements NameWatch {
  private readonly name: string;
  private readonly list: NameState;
  private readonly release: () => Promise<void>;

  constructor(name: string, list: NameState, release: () => Promise<void>) {
    this.name = name;
    this.list = list;
    this.release = release;
  }

  get state(): NameState["watch"] {
    return this.list.watch;
  }

  show({ records, error }: DirectoryView): void {
    const endpoints = records
      .filter((record) => record.serving && record.registration.name === this.name)
      .map(endpointOf);
    if (error === undefined) this.list.take(endpoints);
    else if (this.state.current.kind === "pending" && endpoints.length > 0) this.list.borrow(endpoints, error);
    else this.list.keep(error);
  }

  stop(): Promise<void> {
    this.list.close();
    return this.release();
  }
}

function endpointOf({ registration }: DirectoryRecord): EndpointSpec {
  const { id, host, port, weight, meta } = registration;
  const address: Address = { kind: "tcp", host, port };
  return { id: `${id}@${formatAddress(address)}`, address, weight, zone: meta.zone, meta };
}
