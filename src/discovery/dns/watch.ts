import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../core/clock.ts";
import { Alarm } from "../alarm.ts";
import type { NameState } from "../name-state.ts";
import type { DiscoveryServices } from "../services.ts";
import type { NameWatch } from "../shared-watches.ts";
import type { EndpointSpec } from "../source.ts";
import { endpointsOfHost, endpointsOfSrv } from "./endpoints.ts";
import { DnsHost } from "./host.ts";
import type { DnsLookup, OpenLookup } from "./lookup.ts";
import type { DnsName, DnsOptions } from "./options.ts";
import type { DnsSurroundings } from "./question.ts";
import { DnsSrv } from "./srv.ts";

type DnsServices = Pick<DiscoveryServices, "clock" | "random">;

/** Milliseconds that the name servers have for all that is asked at once. */
const PATIENCE = 5000;

/** The watch of one name: each question is asked again when its answer is over. */
export class DnsWatch implements NameWatch {
  private readonly name: DnsName;
  private readonly options: DnsOptions;
  private readonly open: OpenLookup;
  private readonly clock: Clock;
  private readonly surroundings: DnsSurroundings;
  private readonly list: NameState;
  private readonly alarm: Alarm;
  private readonly srv: DnsSrv | undefined;
  /** The host itself, or the targets of the SRV records. */
  private readonly hosts = new Map<string, DnsHost>();
  private last: readonly EndpointSpec[] | undefined = undefined;
  private asking: DnsLookup | undefined = undefined;
  private stopped = false;
  private readonly running: Promise<void>;

  constructor(list: NameState, name: DnsName, options: DnsOptions, { clock, random }: DnsServices, open: OpenLookup) {
    this.name = name;
    this.options = options;
    this.open = open;
    this.clock = clock;
    this.surroundings = { clock, random, refresh: options.refresh, maxStale: options.maxStale };
    this.list = list;
    this.alarm = new Alarm(clock);
    const expected = this.list.remembered.length > 0;
    this.srv = name.kind === "srv" ? new DnsSrv(name.name, expected, this.surroundings) : undefined;
    if (name.kind === "host") this.addHost(name.name, expected);
    this.running = this.run();
  }

  get state(): NameState["watch"] {
    return this.list.watch;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.asking?.cancel();
    this.alarm.ring();
    await this.running;
    this.list.close();
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const { srv } = this;
      if (srv !== undefined && this.isDue(srv)) {
        await this.ask((lookup) => srv.ask(lookup));
        this.followTargets(srv);
      }
      const hosts = [...this.hosts.values()].filter((host) => this.isDue(host));
      if (!this.stopped && hosts.length > 0)
        await this.ask((lookup) => Promise.all(hosts.map((host) => host.ask(lookup))));
      if (this.stopped) return;
      this.publish();
      const dues = [srv, ...this.hosts.values()].flatMap((question) => question?.due ?? []);
      await this.alarm.wait(Math.max(0, Math.min(...dues) - this.clock.now()));
    }
  }

  private isDue({ due }: { readonly due: number }): boolean {
    return due <= this.clock.now();
  }

  private async ask(questions: (lookup: DnsLookup) => Promise<unknown>): Promise<void> {
    const lookup = this.open();
    const end = this.clock.setTimer(PATIENCE, () => lookup.cancel());
    this.asking = lookup;
    await questions(lookup);
    this.asking = undefined;
    end.cancel();
  }

  private followTargets({ records }: DnsSrv): void {
    const targets = new Set(records.map(({ target }) => target));
    for (const name of this.hosts.keys()) if (!targets.has(name)) this.hosts.delete(name);
    for (const target of targets) if (!this.hosts.has(target)) this.addHost(target, false);
  }

  private addHost(name: string, expected: boolean): void {
    this.hosts.set(name, new DnsHost(name, this.options.family, expected, this.surroundings));
  }

  private publish(): void {
    const { name, srv, hosts, list } = this;
    const addressesOf = (host: string) => hosts.get(host)?.addresses ?? [];
    const specs =
      name.kind === "host"
        ? endpointsOfHost(addressesOf(name.name), name.port)
        : endpointsOfSrv(srv?.records ?? [], addressesOf);
    const trouble = this.trouble(specs);
    const isNews = !isDeepStrictEqual(specs, this.last);
    if (trouble === undefined) list.take(specs);
    else if (specs.length > 0 && isNews) list.borrow(specs, trouble);
    else list.keep(trouble);
    this.last = specs;
  }

  private trouble(specs: readonly EndpointSpec[]): string | undefined {
    const { srv, hosts, list } = this;
    const found = [srv, ...hosts.values()].map((question) => question?.trouble).find((why) => why !== undefined);
    if (found !== undefined || specs.length > 0 || srv === undefined || srv.records.length === 0) return found;
    // There are instances, and nowhere: as a first answer this is one, but not against a better one from before.
    const known = list.watch.current.kind === "known" ? list.watch.current.endpoints : list.remembered;
    return known.length > 0 ? `no target of SRV of ${srv.name} has an address` : undefined;
  }
}
