/** Bundled only: tools/build.ts resolves this name to koffi's addon, as bytes. Unbundled the import fails, as expected. */
declare module "soneca:koffi-linux-x64" {
  const bytes: Uint8Array;
  export default bytes;
}

/** Bundled only: the program of a coder thread (agent/snapshot/coder-thread.ts) as text. */
declare module "soneca:coder-thread" {
  const text: string;
  export default text;
}
