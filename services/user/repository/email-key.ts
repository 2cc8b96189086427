/** Addresses that differ in case only are the same one, and have the same key. */
export function emailKey(email: string): string {
  return email.toLowerCase();
}
