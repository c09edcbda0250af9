/**
 * nvidia-smi as a program that may hang. One that hangs in the kernel, as with a GPU that fell off its bus, outlives SIGKILL:
 * none is started beside it, because there would be one more with every question.
 */
import { type ChildProcess, spawn } from "node:child_process";

export interface SmiOptions {
  command: string;
  env: Record<string, string | undefined>;
  timeoutMs: number;
}

export type SmiAnswer = { ok: true; stdout: string } | { ok: false; message: string };

export interface Smi {
  /** Never rejects. A child that does not end is killed and not waited for; while it is there, the answer is a failure. */
  ask(args: string[]): Promise<SmiAnswer>;
}

const OUTPUT_BYTES = 256 * 1024;
/** After the timeout: an event loop that was busy itself gets to read what has long arrived. */
const LATE_MS = 250;

export function createSmi({ command, env, timeoutMs }: SmiOptions): Smi {
  let hanging: ChildProcess | null = null;

  const askOnce = (args: string[]) =>
    new Promise<SmiAnswer>((resolve) => {
      const output = { stdout: "", stderr: "" };
      let timer: NodeJS.Timeout | undefined;
      const finish = (answer: SmiAnswer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
      for (const name of ["stdout", "stderr"] as const) {
        child[name].setEncoding("utf8");
        child[name].on("data", (text: string) => {
          if (output[name].length < OUTPUT_BYTES) output[name] += text;
        });
      }
      const giveUp = () => {
        hanging = child;
        child.kill("SIGKILL");
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        finish({ ok: false, message: `nvidia-smi gave no answer within ${timeoutMs / 1000} s` });
      };
      timer = setTimeout(() => {
        timer = setTimeout(giveUp, LATE_MS);
      }, timeoutMs);
      child.on("error", (error: NodeJS.ErrnoException) => {
        finish({
          ok: false,
          message: error.code === "ENOENT" ? "nvidia-smi is not installed" : `nvidia-smi: ${error.message}`,
        });
      });
      child.on("exit", () => {
        if (hanging === child) hanging = null;
      });
      child.on("close", (code, signal) => {
        if (code === 0) return finish({ ok: true, stdout: output.stdout });
        const words = shorten(`${output.stdout} ${output.stderr}`) || "no message";
        finish({
          ok: false,
          message: signal ? `nvidia-smi was ended by ${signal}` : `nvidia-smi failed with code ${code}: ${words}`,
        });
      });
    });

  return {
    async ask(args) {
      if (!hanging) return askOnce(args);
      return { ok: false, message: `nvidia-smi hangs: process ${hanging.pid} was killed and is still there` };
    },
  };
}

export function shorten(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 480);
}
