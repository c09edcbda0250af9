/** npm run smoke -- URL: whether a deployment does what only a real one can show. Changes nothing that it does not take away again. */
import { parseArgs } from "node:util";
import { checks } from "./checks.ts";
import { createTarget } from "./http.ts";

const usage = `usage: npm run smoke -- URL [--dashboard URL] [--only TEXT] [--json]

  URL               where the deployment answers, as "npm run deploy" prints it
  --dashboard URL   the dashboard on Pages
  --only TEXT       the checks whose name holds it
  --json            one JSON object a line

  SONECA_TOKEN         a user's token: vast.ai's key, WebSockets
  SONECA_ADMIN_TOKEN   the admin token: R2, D1, alarms, CPU time, bodies, streams, on keys of their own
  Without one of them its checks are skipped, and say so. The exit status is 0 if none failed.`;

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        dashboard: { type: "string" },
        only: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const [url = "", spare] = positionals;
    if (!/^https?:\/\//.test(url) || spare !== undefined)
      throw new Error("one URL is wanted, such as https://soneca.example.com");
    return { url, ...values };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

const { url, dashboard, only, json } = readOptions();
const target = createTarget({
  url,
  dashboard: dashboard?.replace(/\/+$/, "") ?? null,
  userToken: process.env.SONECA_TOKEN ?? null,
  adminToken: process.env.SONECA_ADMIN_TOKEN ?? null,
});
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const { name, run } of checks) {
  if (only !== undefined && !name.includes(only)) continue;
  const outcome = await run(target).catch((error: Error) => {
    const cause = (error.cause as Error | undefined)?.message;
    return { ok: false as const, detail: cause ? `${error.message}: ${cause}` : error.message };
  });
  const word = "skipped" in outcome ? "skipped" : outcome.ok ? "passed" : "failed";
  counts[word]++;
  const detail = "skipped" in outcome ? outcome.skipped : outcome.detail;
  console.log(
    json ? JSON.stringify({ event: "check", name, outcome: word, detail }) : `${word.padEnd(8)} ${name}: ${detail}`,
  );
}
console.log(
  json
    ? JSON.stringify({ event: "end", ...counts })
    : `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`,
);
process.exitCode = counts.failed === 0 ? 0 : 1;
