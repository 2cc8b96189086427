/** What an image is made of: the last stage of a Dockerfile, and the command of an earlier one that makes what it copies. */
export interface Dockerfile {
  readonly base: string;
  /** The last command of the stage that is copied from. */
  readonly makes: readonly string[];
  /** The folder of that stage that becomes the image's root. */
  readonly copied: string;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** The instructions of each stage, one line each. */
  readonly stages: readonly (readonly string[])[];
}

/**
 * Reads a Dockerfile whose last stage copies one folder of an earlier stage to its root. An instruction that this reader
 * does not know there is an error: a test that ignored it would assemble another image than an engine does.
 */
export function readDockerfile(text: string): Dockerfile {
  const lines = text.replaceAll("\\\n", " ").split("\n");
  const instructions = lines.filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const stages: string[][] = [];
  for (const line of instructions) {
    if (line.startsWith("FROM ")) stages.push([]);
    stages.at(-1)?.push(line);
  }
  const last = stages.at(-1) ?? [];
  let image: Dockerfile = {
    ...{ base: "", makes: [], copied: "", user: { uid: 0, gid: 0 }, env: {}, entrypoint: [], command: [] },
    stages: stages.map((stage) => stage.slice(1)),
  };
  for (const line of last) {
    const [, word = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    image = { ...image, ...apply(word, rest, stages, image) };
  }
  return image;
}

function apply(word: string, rest: string, stages: readonly string[][], image: Dockerfile): Partial<Dockerfile> {
  switch (word) {
    case "FROM":
      return { base: rest };
    case "EXPOSE":
      return {};
    case "USER": {
      const [uid, gid] = rest.split(":").map(Number);
      if (uid === undefined || gid === undefined || Number.isNaN(uid + gid)) throw new Error(`USER ${rest}`);
      return { user: { uid, gid } };
    }
    case "ENV": {
      const [, name = "", value = ""] = /^(\w+)=(\S*)$/.exec(rest) ?? [];
      if (name === "") throw new Error(`ENV ${rest}`);
      return { env: { ...image.env, [name]: value } };
    }
    case "ENTRYPOINT":
      return { entrypoint: words(rest) };
    case "CMD":
      return { command: words(rest) };
    case "COPY": {
      const [, stage = "", copied = ""] = /^--from=(\w+) (\S+) \/$/.exec(rest) ?? [];
      const from = stages.find(([first]) => first?.endsWith(` AS ${stage}`));
      const run = from?.findLast((line) => line.startsWith("RUN "));
      if (image.copied !== "" || run === undefined) throw new Error(`COPY ${rest}`);
      return { copied, makes: run.slice("RUN ".length).split(" ") };
    }
    default:
      throw new Error(`the last stage has ${word}, which this reader does not know`);
  }
}

function words(json: string): string[] {
  const parsed: unknown = JSON.parse(json);
  if (!Array.isArray(parsed)) throw new Error(`${json} is no list`);
  return parsed.map(String);
}
