import { openCLibrary } from "./c-library.ts";

/**
 * Makes what gives the system back what the allocator keeps of memory that nobody has any more. By itself glibc gives back little but the
 * end of it, so that after a load of many buffers as much stays resident as there was at most. Stops the thread, for some 0.4 ms per MiB.
 * A string is why this process cannot: the native package is not installed, or the C library is not glibc.
 */
export async function openMemoryTrim(): Promise<(() => void) | string> {
  const library = await openCLibrary();
  if (typeof library === "string") return library;
  try {
    const trim: (kept: number) => number = library.func("int malloc_trim(size_t)");
    return () => void trim(0);
  } catch (error) {
    return `the C library cannot: ${error instanceof Error ? error.message : String(error)}`;
  }
}
