import { answers } from "./answers.ts";
import { client, server } from "./connection.ts";
import { fields } from "./fields.ts";
import { frames } from "./frames.ts";
import { hpack } from "./hpack.ts";
import { jwt } from "./jwt.ts";
import { messages } from "./messages.ts";
import { requests } from "./requests.ts";
import { spiffe } from "./spiffe.ts";
import type { Target } from "./target.ts";
import { yaml } from "./yaml.ts";

export const targets: readonly Target[] = [
  frames,
  hpack,
  requests,
  server,
  client,
  yaml,
  spiffe,
  jwt,
  messages,
  answers,
  fields,
];
