/** The signal of a call whose caller stays. */
export const never: AbortSignal = new AbortController().signal;
