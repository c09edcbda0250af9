/**
 * Of this release: the control plane, the agent that it serves and the command line have one. Kept equal to package.json
 * by a test: a bundle stands alone and cannot read it.
 */
export const version = "0.1.0";
