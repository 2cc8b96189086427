import type { DnsLookup, SrvRecord } from "./lookup.ts";
import { DnsQuestion, type DnsSurroundings } from "./question.ts";

/** The SRV records of one name, as they were last known. */
export class DnsSrv {
  readonly name: string;
  private readonly question: DnsQuestion;
  private known: readonly SrvRecord[] = [];
  private problem: string | undefined = undefined;
  /** Whether it had instances before this process began. */
  private expected: boolean;

  constructor(name: string, expected: boolean, surroundings: DnsSurroundings) {
    this.name = name;
    this.expected = expected;
    this.question = new DnsQuestion(surroundings);
  }

  get records(): readonly SrvRecord[] {
    return this.known;
  }

  /** Why what is known may not be so any more; undefined while it is. */
  get trouble(): string | undefined {
    return this.problem;
  }

  get due(): number {
    return this.question.due;
  }

  async ask(lookup: DnsLookup): Promise<void> {
    const answer = await lookup.services(this.name);
    if (answer.kind === "failed") {
      this.problem = answer.why;
      this.question.failed();
      return;
    }
    if (answer.kind === "records" && answer.records.length > 0) {
      // "." is no host: it says that the service is decidedly not there (RFC 2782), which is a cause.
      this.known = answer.records.map(tidy).filter(({ target }) => target !== "");
      this.problem = undefined;
      this.expected = false;
      this.question.present(answer.ttl);
      return;
    }
    if (this.question.absent(this.expected || this.known.length > 0)) {
      this.known = [];
      this.expected = false;
      this.problem = undefined;
    } else {
      this.problem = answer.kind === "none" ? answer.why : "it has no record";
    }
  }
}

function tidy(record: SrvRecord): SrvRecord {
  return { ...record, target: record.target.toLowerCase().replace(/\.$/, "") };
}
