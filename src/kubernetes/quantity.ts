const FACTORS: Readonly<Record<string, number>> = {
  ...{ m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** Kubernetes' own grammar of quantities: a decimal number with a suffix of SI, of powers of two, or an exponent. */
export const QUANTITY = /^([0-9]+(?:\.[0-9]+)?)(?:(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|([eE][0-9]+))?$/;

/** A quantity as a number, of cores or octets; NaN for what is none. */
export function amountOf(quantity: string): number {
  const [, number, suffix, exponent = ""] = QUANTITY.exec(quantity) ?? [];
  return Number(`${number}${exponent}`) * (suffix === undefined ? 1 : (FACTORS[suffix] ?? Number.NaN));
}
