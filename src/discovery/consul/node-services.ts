import type { Address } from "../../core/address.ts";
import { field } from "../../core/json-field.ts";

/** A registration in the catalog. */
export interface CatalogService {
  readonly name: string;
  readonly address: Address;
  /** Grows with every registration, whoever's it is. */
  readonly modifyIndex: number;
  /** It says of itself that it is a sidecar's. */
  readonly isSidecar: boolean;
}

/** Reads an answer of /v1/catalog/node-services; what cannot be read says nothing. */
export function readNodeServices(text: string): readonly CatalogService[] {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return [];
  }
  const list = field(body, "Services");
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const name = field(entry, "Service");
    const host = field(entry, "Address") || field(field(body, "Node"), "Address");
    const port = field(entry, "Port");
    const modifyIndex = field(entry, "ModifyIndex");
    if (typeof name !== "string" || typeof host !== "string" || typeof port !== "number") return [];
    return {
      name,
      address: { kind: "tcp", host, port } as const,
      modifyIndex: typeof modifyIndex === "number" ? modifyIndex : 0,
      isSidecar: field(field(entry, "Meta"), "outrigger") !== undefined,
    };
  });
}
