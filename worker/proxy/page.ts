/** What a person sees who opens a service that is not there yet: where its wake is, and then the service itself. */
import type { WaitingBody } from "./waiting.ts";

export function waitingPage(body: WaitingBody, nonce: string): string {
  const { message, hint, retryable, context } = body.error;
  const { instance_id: instance, phase, retry_after_seconds: seconds } = context;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${text(instance)}: ${text(wordsOf(phase))}</title>
${retryable ? `<noscript><meta http-equiv="refresh" content="${seconds}"></noscript>` : ""}
<style nonce="${nonce}">
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem; color-scheme: light dark; }
  progress { width: 100%; }
  .hint { opacity: 0.7; }
</style>
<h1>${text(retryable ? "One moment" : "Asleep")}</h1>
<p>${text(message)}</p>
${retryable ? `<progress id="bar"></progress>\n<p id="phase" role="status">${text(wordsOf(phase))}</p>` : ""}
<p class="hint">${text(hint)}</p>
${retryable ? `<script nonce="${nonce}">${script}</script>` : ""}
</html>
`;
}

const words: Record<string, string> = {
  falling_asleep: "falling asleep",
  asleep: "asleep",
  renting: "finding a machine",
  booting: "the machine boots",
  restoring: "bringing the workspace back",
  connecting: "connecting",
  unreachable: "out of reach",
  failed: "failed",
};

export function wordsOf(phase: string): string {
  return words[phase] ?? phase;
}

// The same address again, asked for as events: what may see the page may see them. A page that was posted is not posted again.
const script = `
const words = ${JSON.stringify(words)};
const bar = document.getElementById("bar"), phase = document.getElementById("phase");
const rest = (s) => new Promise((done) => setTimeout(done, s * 1000));
const show = (at) => {
  const left = at.left_seconds ? Math.max(0, Math.round(at.left_seconds.p50)) : null;
  phase.textContent = (words[at.phase] || at.phase) + (left ? ", about " + left + " s left" : "");
  if (at.left_seconds && at.elapsed_seconds != null) {
    bar.max = at.elapsed_seconds + at.left_seconds.p50 || 1;
    bar.value = at.elapsed_seconds;
  } else bar.removeAttribute("value");
};
(async () => {
  for (;;) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/event-stream" }, cache: "no-store" });
      if (answer.status !== 503 || !(answer.headers.get("content-type") || "").startsWith("text/event-stream")) return location.reload();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = "", part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (rest + part.value).split("\\n\\n");
        rest = events.pop();
        for (const event of events) {
          if (event.startsWith("event: ready")) return location.reload();
          const data = event.split("\\n").find((line) => line.startsWith("data: "));
          if (data) show(JSON.parse(data.slice(6)).error.context);
        }
      }
    } catch {}
    await rest(2);
  }
})();
`;

function text(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
