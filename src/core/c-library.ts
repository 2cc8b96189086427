import type { LibraryHandle } from "koffi";

/** Names of the C library: glibc's, musl's. */
const names = ["libc.so.6", "libc.so"];

/** Opens the C library, by the package koffi. A string is why there is none: mostly that the native package is not installed. */
export async function openCLibrary(): Promise<LibraryHandle | string> {
  try {
    const { default: koffi } = await import("koffi");
    return firstOf(names, (name) => koffi.load(name));
  } catch (error) {
    return `the package koffi cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function firstOf<T>(names: readonly string[], load: (name: string) => T): T {
  let last: unknown;
  for (const name of names) {
    try {
      return load(name);
    } catch (error) {
      last = error;
    }
  }
  throw last instanceof Error ? last : new Error(String(last));
}
