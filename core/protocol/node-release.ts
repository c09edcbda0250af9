/**
 * The Node that is brought to a machine that has none: the one place that names it. Version and sums are those of
 * `SHASUMS256.txt`, which the release's author signs: https://nodejs.org/en/blog/release/v22.23.3
 */
export const nodeRelease = {
  version: "22.23.3",
  /** SHA-256 of `node-vVERSION-linux-ARCH.tar.gz`; .tar.xz would want an `xz` that bare images lack. */
  sha256: {
    x64: "1084aa36196bba4c3a5e69a1ee388a6e4ff729dad09445fbcd434b28fe3c24af",
    arm64: "5ced2d48d1d7198739b7f86804de0171aefb6823b684b12341d3321afc3cb0b2",
  },
} as const;

export const nodeMirror = "https://nodejs.org/dist";

/** Under the control plane's address: the same files, for a machine that reaches nothing else. */
export const nodeMirrorPath = "/agent/node";

/** Below a mirror's address; undefined for another processor. */
export function nodeTarballPath(arch: string): string | undefined {
  const { version, sha256 } = nodeRelease;
  return arch in sha256 ? `v${version}/node-v${version}-linux-${arch}.tar.gz` : undefined;
}
