/** Characters of a text that a stranger chose, where people read it. */
export const READABLE = 256;

/** A text for people: what is beyond `longest` characters is left out. */
export function clip(text: string, longest = READABLE): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}…`;
}

/** A text that is kept, clipped: a part of a string would hold on to the whole. */
export function clipCopy(text: string, longest = READABLE): string {
  return text.length <= longest ? text : Buffer.from(clip(text, longest), "utf8").toString("utf8");
}
