/**
 * Loaded into a process of which a test wants to know what it holds (`NODE_OPTIONS`, see below): all garbage is collected every few
 * seconds, so that the least that is seen of its heap is what is in use, and not the collector's mood.
 */
const EVERY = 5000;

setInterval(() => globalThis.gc?.(), EVERY).unref();
