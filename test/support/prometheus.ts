/** One line of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

/**
 * Reads Prometheus' text format and throws at whatever a strict reader would not take: a family twice or in pieces, a sample
 * outside its family, a series twice, a histogram whose buckets do not grow or do not end at its count.
 */
export function parseMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no line feed");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: { readonly name: string; readonly text: string } | undefined;
  let family: Family | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment?.[1] === "HELP") {
      help = { name: `${comment[2]}`, text: `${comment[3]}` };
    } else if (comment !== null) {
      const name = `${comment[2]}`;
      if (help?.name !== name) throw new Error(`${name} has no help before its type`);
      if (families.has(name)) throw new Error(`${name} is there twice`);
      family = { name, type: `${comment[3]}`, help: help.text, samples: [] };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      if (family === undefined || !belongs(family, sample.name)) throw new Error(`${line} is outside its family`);
      const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).map(String).sort(order))}`;
      if (seen.has(series)) throw new Error(`${series} is there twice`);
      seen.add(series);
      family.samples.push(sample);
    }
  }
  for (const each of families.values()) if (each.type === "histogram") checkHistogram(each);
  return families;
}

/** The value of the one sample of `name` whose labels include `labels`; undefined where there is none. */
export function sampleValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const all = [...families.values()].flatMap((family) => family.samples);
  const found = all.filter((sample) => {
    return sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
  });
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} match ${JSON.stringify(labels)}`);
  return found[0]?.value;
}

function order(one: string, other: string): number {
  return one < other ? -1 : 1;
}

function belongs(family: Family, sample: string): boolean {
  if (family.type !== "histogram") return sample === family.name;
  return ["_bucket", "_sum", "_count"].some((suffix) => sample === family.name + suffix);
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = match[2] ?? "";
  while (rest !== "") {
    const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/.exec(rest);
    if (label === null) throw new Error(`not labels: ${line}`);
    const name = `${label[1]}`;
    if (name in labels) throw new Error(`${name} twice in ${line}`);
    labels[name] = `${label[2]}`.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
    rest = rest.slice(label[0].length);
  }
  const value = match[3] === "+Inf" ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (Number.isNaN(value)) throw new Error(`not a number: ${line}`);
  return { name: `${match[1]}`, labels, value };
}

function checkHistogram(family: Family): void {
  const last = new Map<string, { bound: number; count: number }>();
  const key = (labels: Readonly<Record<string, string>>): string => JSON.stringify({ ...labels, le: "" });
  for (const { name, labels, value } of family.samples) {
    if (name !== `${family.name}_bucket`) continue;
    const bound = labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le);
    const before = last.get(key(labels));
    if (before !== undefined && (bound <= before.bound || value < before.count))
      throw new Error(`${family.name}: the bucket ${labels.le} does not grow`);
    last.set(key(labels), { bound, count: value });
  }
  for (const { name, labels, value } of family.samples) {
    if (name !== `${family.name}_count`) continue;
    const end = last.get(key(labels));
    if (end?.bound !== Number.POSITIVE_INFINITY || end.count !== value)
      throw new Error(`${family.name}: the last bucket is not the count`);
  }
}
