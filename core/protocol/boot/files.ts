/** What the loop and the agent know of each other, all in the agent's home. */
export const bootFiles = {
  agent: "soneca-agent.mjs",
  /** Fetched and checked; taken at the next start. */
  next: "soneca-agent.mjs.next",
  previous: "soneca-agent.mjs.previous",
  /** The SHA-256 of the agent that has to prove itself. */
  trial: "trial",
  /** SHA-256 of those that did not, one a line. */
  badBuilds: "bad-builds",
  /** The SHA-256 of the last one that did not, and why. */
  rolledBack: "rolled-back",
  settings: "environment",
  start: "start.sh",
  loopLock: "loop.lock",
} as const;

/** Set by the loop for the agent that it starts: without it nothing would start a next one. */
export const loopEnv = "SONECA_LOOP";
