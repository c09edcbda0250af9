/**
 * What the agent's start is told by its environment, and keeps in its home. What a login over ssh or a later start does
 * not see is taken from process 1, then from what was kept.
 */
export const settingNames = [
  "SONECA_URL",
  "SONECA_TOKEN",
  "SONECA_INSTANCE",
  "SONECA_EPOCH",
  "SONECA_WORKSPACE",
  "SONECA_SEAL_SCOPE",
  "SONECA_CLOUDFLARED",
  "SONECA_TRIAL_SECONDS",
  // Where Node is had, and the sum of that mirror's tarball where it is another one.
  "SONECA_NODE_MIRROR",
  "SONECA_NODE_SHA256",
  "CONTAINER_ID",
  "DATA_DIRECTORY",
  "GPU_COUNT",
].join(" ");
