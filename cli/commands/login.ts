/** `soneca login` and `soneca logout`: the config file, which nobody else can read. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { version } from "../../core/protocol/version.ts";
import { askSecret } from "../ask-secret.ts";
import { createClient } from "../client.ts";
import { localCommand } from "../command.ts";
import { configFilePath } from "../connect.ts";
import { Failure, usageFailure } from "../failure.ts";

export const loginCommand = localCommand({
  name: "login",
  description: "Keep the address of a control plane and a token of yours, for every later command",
  args: {
    url: {
      type: "positional",
      required: false,
      description: "The control plane; without it that of the config file, or SONECA_URL",
    },
    token: {
      type: "string",
      valueHint: "TOKEN",
      description: "The API token; without it it is asked for, or read from standard input",
    },
  },
  async run({ output }, args) {
    const file = configFilePath(process.env);
    const kept = readKept(file);
    const url = args.url ?? process.env.SONECA_URL ?? kept.url;
    if (!url) throw usageFailure("Which control plane?", "Say `soneca login https://soneca.example.com`.");
    if (!/^https?:\/\//.test(url)) throw usageFailure(`${url} is no address.`, "It begins with https:// or http://.");
    const token = (args.token ?? (await askSecret("Token"))).trim();
    if (token === "")
      throw usageFailure("There is no token.", "Make one in the dashboard's settings, or with `soneca token create`.");
    // One that is refused is not kept.
    const me = await createClient({ url, token, userAgent: `soneca/${version}` }).call("me");
    writeKept(file, { ...kept, url: url.replace(/\/+$/, ""), token });
    output.document({ url, user: me, file });
    output.print(`Signed in at ${url} as ${me.name}. Kept in ${file}, which only you can read.`);
  },
});

export const logoutCommand = localCommand({
  name: "logout",
  description: "Forget the token of the config file; it stays valid until it is revoked",
  args: {},
  async run({ output }) {
    const file = configFilePath(process.env);
    const { token, ...rest } = readKept(file);
    if (token !== undefined) writeKept(file, rest);
    output.document({ forgotten: token !== undefined, file });
    output.print(
      token === undefined
        ? `There is no token in ${file}.`
        : `Forgotten. It is still valid: \`soneca token revoke\`, or the dashboard's settings, end it.`,
    );
  },
});

type Kept = Record<string, unknown> & { url?: string; token?: string };

function readKept(file: string): Kept {
  if (!existsSync(file)) return {};
  try {
    const kept: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof kept === "object" && kept !== null && !Array.isArray(kept)) return kept as Kept;
  } catch {
    // Said below: what somebody wrote there by hand is not overwritten.
  }
  throw usageFailure(
    `${file} is not a config file.`,
    'It holds {"url": "https://...", "token": "snu_..."}. Mend it or take it away.',
  );
}

function writeKept(file: string, kept: Kept): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
    // One that was there keeps its mode when it is written.
    chmodSync(file, 0o600);
  } catch (cause) {
    throw new Failure(
      "file_not_written",
      `${file} could not be written: ${(cause as Error).message}.`,
      "See who owns the folder.",
      { cause },
    );
  }
}
