import type { CompileRegex } from "../../core/regex.ts";
import { remembered } from "../../core/remembered.ts";
import type { Call } from "../../http/call.ts";
import { parseSpiffeId, type SpiffeId } from "../../identity/spiffe.ts";
import type { Action, Intention, IntentionSource, TokenRequirement } from "./intention.ts";
import { compilePermission, type MeansCall } from "./permission.ts";

/** What Consul says of the calls of a service. */
export interface IntentionSet {
  /** First who goes first. */
  readonly intentions: readonly Intention[];
  /** What becomes of calls that no intention is for. */
  readonly byDefault: Action;
  readonly regex: CompileRegex;
}

/** What an intention says of a call. */
export interface Word {
  readonly action: Action;
  /** The intention, and its permission where it has some, as people call them. */
  readonly by: string;
  /** The source, by which it is counted. */
  readonly source: string;
  /** What has to hold beside, for a word that allows. */
  readonly tokens: readonly TokenRequirement[];
}

/** A word, and the calls that it is about. */
interface Spoken {
  readonly means: MeansCall;
  readonly word: Word;
}

interface Compiled {
  readonly intention: Intention;
  readonly words: readonly Spoken[];
}

/**
 * The intentions of one destination, compiled. Of those whose source the caller is, the first one counts; of its permissions the
 * first that is for the call; without one the default does, not the next intention. Who is none of the mesh's services is denied what
 * any intention denies that may be for it, and is allowed nothing.
 */
export class Intentions {
  readonly byDefault: Action;
  private readonly own: SpiffeId | undefined;
  private readonly all: readonly Compiled[];
  private readonly about: (identity: string) => readonly Spoken[];
  private readonly aboutNobody: readonly Spoken[];

  /** `own`: who this sidecar is; sources are of its trust domain. */
  constructor({ intentions, byDefault, regex }: IntentionSet, own: SpiffeId | undefined) {
    this.byDefault = byDefault;
    this.own = own;
    this.all = intentions.map((intention) => ({ intention, words: wordsOf(intention, regex) }));
    this.about = remembered((identity) => {
      const id = parseSpiffeId(identity);
      return this.choose(typeof id === "string" ? undefined : id);
    });
    this.aboutNobody = this.choose(undefined);
  }

  /** Everything that can be said. */
  *words(): IterableIterator<Word> {
    for (const { words } of this.all) for (const { word } of words) yield word;
  }

  /** What is said of a call; undefined where the default decides. Allocates nothing for a caller that it knows. */
  wordOn(call: Call): Word | undefined {
    const spoken = call.identity === undefined ? this.aboutNobody : this.about(call.identity);
    for (const { means, word } of spoken) if (means(call)) return word;
    return undefined;
  }

  private choose(id: SpiffeId | undefined): readonly Spoken[] {
    const isOutsider = id?.consul === undefined || id.trustDomain !== this.own?.trustDomain;
    const meant = this.all.filter(({ intention }) => isFor(intention, id, isOutsider));
    if (!isOutsider) return meant[0]?.words ?? [];
    return meant.flatMap(({ words }) => words.filter(({ word }) => word.action === "deny"));
  }
}

function isFor(intention: Intention, id: SpiffeId | undefined, isOutsider: boolean): boolean {
  const { source } = intention;
  // Which of the other clusters somebody is from, nobody here knows.
  if (source.kind === "peer" && !isOutsider) return false;
  if (source.kind === "unknown" && allowsAtOnce(intention)) return false;
  return (source.name === "*" || source.name === id?.consul?.service) && isPlace(source, id);
}

/** Whether somebody is where the source is; one without a place may be anywhere. */
function isPlace({ namespace, partition }: IntentionSource, id: SpiffeId | undefined): boolean {
  const place = id?.consul;
  if (place === undefined) return true;
  return (
    (namespace === "*" || namespace === place.namespace) &&
    (partition === "*" || partition === (place.partition ?? "default"))
  );
}

function allowsAtOnce({ does }: Intention): boolean {
  return "action" in does && does.action === "allow";
}

function wordsOf(intention: Intention, regex: CompileRegex): readonly Spoken[] {
  const { source, destination, does, token } = intention;
  const name = `intention ${source.name} => ${destination}`;
  const tokens = token === undefined ? [] : [token];
  const isOdd = source.kind !== "own";
  if ("action" in does)
    return [{ means: () => true, word: { action: does.action, by: name, source: source.name, tokens } }];
  // Whom it is for is not known: that it may deny is what counts.
  if (isOdd)
    return [
      {
        means: () => true,
        word: { action: "deny", by: `${name}, whose source is of another cluster`, source: source.name, tokens },
      },
    ];
  const permitted = does.permissions.map((permission, at) => ({
    means: compilePermission(permission, regex),
    word: {
      action: permission.action,
      by: `${name}, permission ${at + 1}`,
      source: source.name,
      tokens: permission.token === undefined ? tokens : [...tokens, permission.token],
    },
  }));
  return [
    {
      means: isConnection,
      word: { action: "deny", by: `${name}, whose permissions are for HTTP`, source: source.name, tokens: [] },
    },
    ...permitted,
  ];
}

/** Permissions are about requests. A connection of TCP has none, and what it carries cannot be seen: Consul denies it, too. */
function isConnection(call: Call): boolean {
  return call.protocol === "tcp";
}
