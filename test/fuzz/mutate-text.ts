import { mutateOctets } from "./mutate.ts";
import { pick, type Random, type Target } from "./target.ts";

/** No text is longer. */
const MOST = 4096;

/** Changes text as text: its lines, its words, and words of a dictionary in their place; and octets, whatever they mean. */
export function mutateText(dictionary: readonly string[]): Target["mutate"] {
  return (input, random, others) => {
    if (random(4) === 0) return mutateOctets(input, random, others);
    let text = input.toString("latin1");
    for (let more = 1 + random(3); more > 0; more--) text = change(text, random, dictionary, others);
    return Buffer.from(text.slice(0, MOST), "latin1");
  };
}

function change(text: string, random: Random, dictionary: readonly string[], others: readonly Buffer[]): string {
  const at = random(text.length + 1);
  const lines = text.split("\n");
  const line = random(lines.length);
  // The dictionary is of characters, and texts are of octets.
  const word = (): string => Buffer.from(pick(random, dictionary)).toString("latin1");
  switch (random(8)) {
    case 0:
      return text.slice(0, at) + word() + text.slice(at);
    case 1:
      return text.slice(0, at) + word() + text.slice(at).replace(/^[\w.-]+/, "");
    case 2:
      lines.splice(line, 1);
      return lines.join("\n");
    case 3:
      lines.splice(random(lines.length + 1), 0, lines[line] ?? "");
      return lines.join("\n");
    case 4:
      lines[line] = `${" ".repeat(random(7))}${(lines[line] ?? "").trimStart()}`;
      return lines.join("\n");
    case 5: {
      const piece = text.slice(at, at + 1 + random(8));
      return text.slice(0, at) + piece.repeat(1 + random(random(4) === 0 ? 1000 : 6)) + text.slice(at);
    }
    case 6: {
      const other = (others.length === 0 ? text : pick(random, others).toString("latin1")).split("\n");
      const from = random(other.length);
      lines.splice(line, 0, ...other.slice(from, from + 1 + random(5)));
      return lines.join("\n");
    }
    default:
      lines.splice(line, 1, `${lines[line] ?? ""}${word()}`);
      return lines.join("\n");
  }
}
