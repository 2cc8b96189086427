/** A text that holds a mark, and through what it is reached. */
interface Held {
  readonly octets: number;
  readonly count: number;
}

/**
 * What texts with a mark are held by an object, directly or not: by the class and the field that hold the most of them. What only
 * closures hold is not seen.
 */
export function marked(root: object, mark: string): Map<string, Held> {
  const found = new Map<string, Held>();
  const seen = new Set<object>([root]);
  const open: [value: object, place: string][] = [[root, root.constructor.name]];
  const visit = (value: unknown, place: string): void => {
    if (typeof value === "string") {
      if (!value.includes(mark)) return;
      const { octets, count } = found.get(place) ?? { octets: 0, count: 0 };
      found.set(place, { octets: octets + value.length, count: count + 1 });
    } else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !seen.has(value)) {
      seen.add(value);
      open.push([value, place]);
    }
  };
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, place] = next;
    if (value instanceof Map)
      for (const [key, item] of value) {
        visit(key, `${place} (keys)`);
        visit(item, place);
      }
    else if (value instanceof Set) for (const item of value) visit(item, place);
    else if (Array.isArray(value)) for (const item of value) visit(item, place);
    for (const key of Reflect.ownKeys(value)) {
      if (Array.isArray(value)) break;
      const property = Reflect.getOwnPropertyDescriptor(value, key);
      const name = value.constructor?.name;
      const here = name === undefined || name === "Object" ? place : name;
      visit(property?.value, `${here}.${String(key)}`);
    }
  }
  return found;
}
