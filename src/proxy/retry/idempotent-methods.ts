import { remembered } from "../../core/remembered.ts";

/** What is known of an idempotent method. */
export interface Idempotence {
  /** Where it is known from, in the words of the log. */
  readonly proof: string;
  /** Its answer is one message, with which a caller can do nothing before its end. */
  readonly single: boolean;
}

/** Says of methods that they are idempotent, from what their services say of themselves. */
export interface MethodKnowledge {
  /** Undefined where it is not idempotent, or not known yet. */
  of(path: string): Idempotence | undefined;
}

const proof = "the configuration declares the method idempotent";
const declaredSingle: Idempotence = { proof, single: true };
const declaredAny: Idempotence = { proof, single: false };

/**
 * The methods of an upstream that do no harm when they run more than once: those that the configuration names, and those whose
 * `idempotency_level` says so.
 */
export class IdempotentMethods {
  private readonly exact = new Set<string>();
  private readonly services: readonly string[];
  private readonly all: boolean;
  private readonly knowledge: MethodKnowledge | undefined;
  private readonly isOfService = remembered((path) => this.services.some((service) => path.startsWith(service)));

  /** `patterns`: `package.Service/Method`, `package.Service/*` or `*`. */
  constructor(patterns: readonly string[], knowledge?: MethodKnowledge) {
    for (const pattern of patterns) if (!pattern.endsWith("*")) this.exact.add(`/${pattern}`);
    this.services = patterns.filter((pattern) => pattern.endsWith("/*")).map((pattern) => `/${pattern.slice(0, -1)}`);
    this.all = patterns.includes("*");
    this.knowledge = knowledge;
  }

  /** Undefined where a method is not taken for idempotent. */
  of(path: string): Idempotence | undefined {
    const known = this.knowledge?.of(path);
    if (!this.exact.has(path) && !this.isDeclared(path)) return known;
    return known?.single === true ? declaredSingle : declaredAny;
  }

  private isDeclared(path: string): boolean {
    return this.all || (this.services.length > 0 && this.isOfService(path));
  }
}
