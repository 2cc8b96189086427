import manifest from "../../package.json" with { type: "json" };

/** The version of this program. The bundle carries it: esbuild puts the manifest's text in this import's place. */
export const version: string = manifest.version;
