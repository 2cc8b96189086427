import type { Field, Type } from "./schema/type.ts";
import { patternOf } from "./schema/type.ts";

/** One key of the schema, at any depth. */
export interface SchemaKey {
  /** `upstreams.*.timeout` */
  readonly pattern: string;
  readonly key: string;
  readonly field: Field<unknown>;
}

/** Every key of a schema, parents before what is below them. The names that users choose are `*`. */
export function walkSchema(type: Type<unknown>, parent = ""): readonly SchemaKey[] {
  const { shape } = type;
  switch (shape.kind) {
    case "scalar":
      return [];
    case "list":
      return walkSchema(shape.item, parent);
    case "record":
      return walkSchema(shape.item, patternOf(parent, "*"));
    case "object":
      return Object.entries(shape.fields).flatMap(([key, field]) => {
        const pattern = patternOf(parent, key);
        return [{ pattern, key, field }, ...walkSchema(field.type, pattern)];
      });
  }
}
