/** One line a step, for people or as NDJSON. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { DeployError } from "./error.ts";

/** `will do`: by a later step of this run. */
export type Outcome = "done" | "already there" | "will do" | "would do" | "skipped";

export interface Report {
  step(step: string, outcome: Outcome, words: string): void;
  /** Shown once: nothing else keeps it. */
  secrets(named: Record<string, string>): void;
  /** The last line. */
  end(event: Record<string, unknown>, text: string): void;
  fail(step: string, error: DeployError): void;
}

/** `secretsOut`: a file of mode 0600 that takes the secrets instead of the output. */
export function createReport(
  write: (line: string) => void,
  { json, secretsOut }: { json: boolean; secretsOut: string | null },
): Report {
  const say = (event: Record<string, unknown>, text: string) => write(json ? JSON.stringify(event) : text);
  return {
    step: (step, outcome, words) =>
      say({ event: "step", step, outcome, message: words }, `${outcome.padEnd(14)} ${step.padEnd(11)} ${words}`),
    secrets(named) {
      if (secretsOut !== null) {
        saveSecrets(secretsOut, named);
        const names = Object.keys(named);
        say({ event: "secrets", names, file: secretsOut }, `${" ".repeat(15)}${names.join(", ")}: in ${secretsOut}`);
        return;
      }
      for (const [name, value] of Object.entries(named))
        say({ event: "secret", name, value }, `${" ".repeat(15)}${name}=${value}   (shown this once: keep it)`);
    },
    end: say,
    fail(step, { code, message, hint }) {
      const goesOn =
        code === "usage" || step === "start" ? "" : "\nWhat is done stays: the same command goes on from here.";
      const text = `failed         ${step.padEnd(11)} ${message}\n\nWhat to do: ${hint}${goesOn}`;
      say({ event: "failed", step, code, message, hint }, text);
    },
  };
}

/** `NAME=value` lines; those of other names stay. */
export function saveSecrets(file: string, named: Record<string, string>): void {
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  const others = lines.filter((line) => line !== "" && !Object.hasOwn(named, line.split("=")[0] ?? ""));
  const ours = Object.entries(named).map(([name, value]) => `${name}=${value}`);
  try {
    writeFileSync(file, `${[...others, ...ours].join("\n")}\n`, { mode: 0o600 });
    chmodSync(file, 0o600);
  } catch (cause) {
    throw new DeployError("usage", `${file} cannot be written.`, "Name another file with --secrets-out.", { cause });
  }
}
