/** What a text says to a type, or why it says nothing to it. */
export type Parsed<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "problem"; readonly message: string; readonly suggestion: string | undefined };

/** What reading a text came to: this value. */
export function parsed<T>(value: T): Parsed<T> {
  return { kind: "value", value };
}

/** `suggestion` is what was probably meant, as it would be written in the file. */
export function refused(message: string, suggestion?: string): Parsed<never> {
  return { kind: "problem", message, suggestion };
}

/** A text in quotes for a message, at most 80 characters of it; of a URL without the password, or what stands for both. */
export function quote(value: string): string {
  const shown = value.replace(/(:\/\/)([^:@/]*:)?.*@/s, "$1$2***@");
  return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 77)}...` : shown);
}
