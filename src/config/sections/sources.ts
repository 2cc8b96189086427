import { words } from "../schema/words.ts";

/** Where endpoints may come from. */
export const sources = words(["consul", "directory", "dns", "static"]);
