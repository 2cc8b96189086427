import type { Address } from "../core/address.ts";
import type { ServiceConfig } from "./types.ts";

type Whole = Address | ServiceConfig["advertise"] | string | number | boolean | undefined | readonly unknown[];

/** What could be read of a T: single values are whole or absent, mappings may lack some of theirs. */
export type Draft<T> = T extends Whole
  ? T
  : T extends ReadonlyMap<string, infer V>
    ? ReadonlyMap<string, Draft<V>>
    : { readonly [K in keyof T]?: Draft<T[K]> | undefined };
