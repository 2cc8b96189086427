import type { DnsAnswer, DnsLookup } from "./lookup.ts";
import type { DnsFamily } from "./options.ts";
import { DnsQuestion, type DnsSurroundings } from "./question.ts";

/** The addresses of one host, as they were last known. */
export class DnsHost {
  readonly name: string;
  private readonly family: DnsFamily;
  private readonly question: DnsQuestion;
  private v4: readonly string[] = [];
  private v6: readonly string[] = [];
  private problem: string | undefined = undefined;
  /** Whether it had addresses before this process began. */
  private expected: boolean;

  constructor(name: string, family: DnsFamily, expected: boolean, surroundings: DnsSurroundings) {
    this.name = name;
    this.family = family;
    this.expected = expected;
    this.question = new DnsQuestion(surroundings);
  }

  get addresses(): readonly string[] {
    if (this.family === "auto") return this.v4.length > 0 ? this.v4 : this.v6;
    return [...this.v4, ...this.v6];
  }

  /** Why what is known may not be so any more; undefined while it is. */
  get trouble(): string | undefined {
    return this.problem;
  }

  get due(): number {
    return this.question.due;
  }

  async ask(lookup: DnsLookup): Promise<void> {
    const { name, family } = this;
    const [v4, v6] = await Promise.all([
      family === "ipv6" ? undefined : lookup.addresses(name, 4),
      family === "ipv4" ? undefined : lookup.addresses(name, 6),
    ]);
    const found = hasRecords(v4) || hasRecords(v6);
    if (v4 !== undefined) this.v4 = settled(v4, found, this.v4);
    if (v6 !== undefined) this.v6 = settled(v6, found, this.v6);
    // That the addresses of IPv6 are not known is nothing to a host that is reached by IPv4.
    const needless = family === "auto" && hasRecords(v4);
    const failure = [v4, needless ? undefined : v6].find((answer) => answer?.kind === "failed");
    if (failure?.kind === "failed") {
      this.problem = failure.why;
      this.question.failed();
    } else if (found) {
      this.problem = undefined;
      this.expected = false;
      this.question.present(shortest(v4, v6));
    } else {
      this.settleAbsence(v4 ?? v6);
    }
  }

  private settleAbsence(answer: DnsAnswer<string> | undefined): void {
    const had = this.expected || this.v4.length > 0 || this.v6.length > 0;
    if (this.question.absent(had)) {
      this.v4 = [];
      this.v6 = [];
      this.expected = false;
      this.problem = undefined;
    } else {
      this.problem = answer?.kind === "none" ? answer.why : "it has no address";
    }
  }
}

/** What is known of a family: an answer that there is nothing of it is believed where the host has addresses otherwise. */
function settled(answer: DnsAnswer<string>, found: boolean, before: readonly string[]): readonly string[] {
  if (hasRecords(answer)) return answer.records;
  return answer.kind !== "failed" && found ? [] : before;
}

function hasRecords(
  answer: DnsAnswer<string> | undefined,
): answer is Extract<DnsAnswer<string>, { readonly kind: "records" }> {
  return answer?.kind === "records" && answer.records.length > 0;
}

function shortest(...answers: readonly (DnsAnswer<string> | undefined)[]): number | undefined {
  const times = answers.flatMap((answer) => (hasRecords(answer) ? (answer.ttl ?? 0) : []));
  const least = Math.min(...times);
  return least > 0 && Number.isFinite(least) ? least : undefined;
}
