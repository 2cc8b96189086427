/** Makes ids of traces and spans. They have to differ, not to be secret, so the fast source of randomness will do. */
export class Ids {
  private readonly random: () => number;

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number) {
    this.random = random;
  }

  /** 32 hexadecimal digits, never all zero. */
  trace(): string {
    return this.word() + this.word() + this.word() + this.word(1);
  }

  /** 16 hexadecimal digits, never all zero. */
  span(): string {
    return this.word() + this.word(1);
  }

  private word(least = 0): string {
    const number = Math.max(least, Math.floor(this.random() * 0x1_0000_0000));
    return number.toString(16).padStart(8, "0");
  }
}
