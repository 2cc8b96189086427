/** Says of methods that they are idempotent, from what their services say of themselves. */
export interface MethodKnowledge {
  /** Where it is known from, in words; undefined where it is not known, or not yet. */
  sourceFor(path: string): string | undefined;
}

/** Paths whose answer is remembered. */
const MEMORY = 1024;

/**
 * The methods of an upstream that do no harm when they run more than once: those that the configuration names, and those whose
 * `idempotency_level` says so.
 */
export class IdempotentMethods {
  private readonly exact = new Set<string>();
  private readonly services: readonly string[];
  private readonly all: boolean;
  private readonly knowledge: MethodKnowledge | undefined;
  private readonly declared = new Map<string, boolean>();

  /** `patterns`: `package.Service/Method`, `package.Service/*` or `*`. */
  constructor(patterns: readonly string[], knowledge?: MethodKnowledge) {
    for (const pattern of patterns) if (!pattern.endsWith("*")) this.exact.add(`/${pattern}`);
    this.services = patterns.filter((pattern) => pattern.endsWith("/*")).map((pattern) => `/${pattern.slice(0, -1)}`);
    this.all = patterns.includes("*");
    this.knowledge = knowledge;
  }

  /** Why a method is taken for idempotent, in the words of the log; undefined where it is not. */
  proofFor(path: string): string | undefined {
    if (this.exact.has(path) || this.isDeclared(path)) return "the configuration declares the method idempotent";
    return this.knowledge?.sourceFor(path);
  }

  private isDeclared(path: string): boolean {
    if (this.all) return true;
    if (this.services.length === 0) return false;
    let declared = this.declared.get(path);
    if (declared === undefined) {
      declared = this.services.some((service) => path.startsWith(service));
      if (this.declared.size >= MEMORY) this.declared.clear();
      this.declared.set(path, declared);
    }
    return declared;
  }
}
