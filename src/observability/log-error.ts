import { clip } from "../core/clip.ts";

/** An error as the log has it. */
export interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: LoggedError;
  readonly errors?: readonly LoggedError[];
}

const DEEPEST = 4;
const MOST = 8;
const LONGEST_MESSAGE = 2048;
const LONGEST_STACK = 4096;

/**
 * What the log says of an error: kind, message, code, stack, and the same of what caused it. Other properties are left out,
 * for that is where HTTP clients keep the request with its token.
 */
export function describeError(error: unknown): LoggedError {
  return describe(error, 0);
}

function describe(error: unknown, depth: number): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: clip(String(error), LONGEST_MESSAGE) };
  const code: unknown = Reflect.get(error, "code");
  const deeper = depth < DEEPEST;
  return {
    type: error.name,
    message: clip(error.message, LONGEST_MESSAGE),
    ...(typeof code === "string" ? { code } : {}),
    ...(typeof error.stack === "string" ? { stack: error.stack.slice(0, LONGEST_STACK) } : {}),
    ...(error.cause === undefined || !deeper ? {} : { cause: describe(error.cause, depth + 1) }),
    ...(error instanceof AggregateError && deeper
      ? { errors: error.errors.slice(0, MOST).map((part) => describe(part, depth + 1)) }
      : {}),
  };
}
