/** What a person sees who opens a service that is not there yet: where its wake is, and then the service itself. */
import { pageWords } from "./page-words.ts";
import type { WaitingBody } from "./waiting.ts";

export function waitingPage({ error }: WaitingBody, language: string | null, nonce: string): string {
  const words = pageWords(language);
  const { context, code } = error;
  // What comes by itself while one looks; an hour's budget does not.
  const comes = error.retryable && !Object.hasOwn(words.why, code);
  const title = (comes ? words.waking : words.asleep).replace("{name}", context.name);
  const data = JSON.stringify({ words, context }).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="${words.lang}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>${text(title)}</title>
${comes ? `<noscript><meta http-equiv="refresh" content="${context.retry_after_seconds}"></noscript>` : ""}
<style nonce="${nonce}">${style}</style>
<main>
${mark}
<h1>${text(title)}</h1>
${comes ? waiting(words.phases[context.phase] ?? context.phase, words.opens) : `<p>${text(words.why[code] ?? error.message)}</p>`}
</main>
${comes ? `<script nonce="${nonce}">const given = ${data};${script}</script>` : ""}
</html>
`;
}

function waiting(phase: string, opens: string): string {
  return `<p id="when"></p>
<progress id="bar" aria-label="${text(phase)}"></progress>
<div class="r"><span id="phase" role="status">${text(phase)}</span><span id="bytes"></span></div>
<small>${text(opens)}</small>`;
}

const style = `
:root{color-scheme:light dark;--g:light-dark(oklch(.972 .008 85),oklch(.187 .020 282));--i:light-dark(oklch(.27 .035 282),oklch(.945 .014 85));--m:light-dark(oklch(.515 .024 282),oklch(.705 .018 282));--l:light-dark(oklch(.80 .13 66),oklch(.82 .125 70));--e:light-dark(oklch(.80 .13 66),oklch(.58 .13 52));--n:light-dark(oklch(.61 .13 245),oklch(.72 .11 240))}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;color:var(--i);font:400 15px/1.5 ui-sans-serif,system-ui,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums;background:radial-gradient(120% 70% at 50% 112%,light-dark(oklch(.90 .085 68),oklch(.36 .075 52)),light-dark(oklch(.955 .022 60 / .6),oklch(.24 .04 320 / .5)) 46%,transparent 74%),var(--g)}
main{width:min(360px,100%);text-align:center}
svg{display:block;width:72px;height:72px;margin:0 auto 20px}
h1{font-size:22px;line-height:1.25;letter-spacing:-.02em;margin:0;font-weight:640;text-wrap:balance;overflow-wrap:anywhere}
p{text-wrap:balance;margin:6px 0 0;color:var(--m);min-height:1.5em}
progress{appearance:none;display:block;width:100%;height:8px;border:0;border-radius:4px;margin:24px 0 10px;overflow:hidden;background:color-mix(in oklab,var(--i) 10%,transparent)}
progress::-webkit-progress-bar{background:transparent}
progress::-webkit-progress-value{border-radius:4px;background:linear-gradient(90deg,var(--n),var(--l));transition:width .42s}
progress::-moz-progress-bar{border-radius:4px;background:linear-gradient(90deg,var(--n),var(--l))}
progress:indeterminate{background:linear-gradient(90deg,var(--n),var(--l)) -40% 0/40% 100% no-repeat color-mix(in oklab,var(--i) 10%,transparent);animation:go 2s linear infinite}
progress:indeterminate::-moz-progress-bar{background:transparent}
@keyframes go{to{background-position:140% 0}}
@media (prefers-reduced-motion:reduce){progress:indeterminate{animation:none;background-position:50% 0}}
.r{display:flex;justify-content:space-between;gap:16px;font-size:13px;color:var(--m)}
small{display:block;margin-top:32px;font-size:13px;color:var(--m)}
`;

const mark = `<svg viewBox="0 0 16 16" aria-hidden="true"><g stroke="var(--i)" stroke-width="1.4" stroke-linecap="round"><path d="M5.1 1.2v1.8M8 1.2v1.8M10.9 1.2v1.8M5.1 13v1.8M8 13v1.8M10.9 13v1.8"/></g><rect x="1.5" y="2.6" width="13" height="10.8" rx="3.4" fill="var(--i)"/><path d="M3.9 7.2a1.6 1.6 0 0 0 3 0M9.1 7.2a1.6 1.6 0 0 0 3 0" fill="none" stroke="var(--e)" stroke-width="1.1" stroke-linecap="round"/></svg>`;

// The same address again, asked for as events: what may see the page may see them. Once it is something else, it is shown.
const script = `
const { words } = given;
const at = (id) => document.getElementById(id);
const pause = (s) => new Promise((done) => setTimeout(done, s * 1000));
const span = (s) => s < 90 ? words.seconds.replace("{n}", s) : words.minutes.replace("{n}", Math.round(s / 60));
const clock = (s) => new Date(Date.now() + s * 1000).toLocaleTimeString(words.lang, { hour: "2-digit", minute: "2-digit" });
const gb = (bytes) => (bytes / 1e9).toLocaleString(words.lang, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const show = ({ phase, left_seconds: left, share, bytes }) => {
  at("phase").textContent = words.phases[phase] || phase;
  at("when").textContent = !left ? (phase === "starting" || phase === "connecting" ? "" : words.unknown)
    : words.readyIn.replace("{n}", span(Math.max(1, left.p50))) + words.atLatest.replace("{t}", clock(left.p95)) + ".";
  at("bytes").textContent = bytes && bytes.total >= 5e7 ? words.of.replace("{a}", gb(bytes.done)).replace("{b}", gb(bytes.total)) : "";
  if (share === null) at("bar").removeAttribute("value"); else at("bar").value = Math.min(0.98, share);
};
show(given.context);
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
    await pause(2);
  }
})();
`;

function text(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
