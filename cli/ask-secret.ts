/** A secret from whoever types: never an argument, which other programs of the machine can read. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** On a terminal it is asked for and not shown; in a pipe it is the first line. Empty: nothing came. */
export async function askSecret(name: string): Promise<string> {
  const isTerminal = process.stdin.isTTY === true;
  if (isTerminal) process.stderr.write(`${name} (it is not shown): `);
  // What readline would show of it goes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output, terminal: isTerminal });
  const line = await new Promise<string>((resolve) => {
    lines.once("line", resolve);
    lines.once("close", () => resolve(""));
  });
  lines.close();
  if (isTerminal) process.stderr.write("\n");
  return line.trim();
}
