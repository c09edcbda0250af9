/** `soneca open`: the dashboard, or one instance of it, in the browser. */
import { spawn } from "node:child_process";
import { command } from "../command.ts";

export const openCommand = command({
  name: "open",
  description: "Open the dashboard in the browser, at an instance where one is named; prints the address",
  args: {
    id: { type: "positional", required: false, description: "Id, beginning of an id, or name" },
    print: { type: "boolean", description: "Only print the address" },
  },
  async run({ client, output, resolve }, args) {
    const path = args.id === undefined ? "/" : `/i/${await resolve(args.id)}`;
    const url = client.url.replace(/\/+$/, "") + path;
    output.document({ url });
    output.print(url);
    if (!args.print && !output.json) openInBrowser(url);
  },
});

/** One that has no browser has the address. */
function openInBrowser(url: string): void {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(program, [url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
}
