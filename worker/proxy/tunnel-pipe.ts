/**
 * The pipe through a Cloudflare tunnel: a plain fetch of the machine's hostname, which the edge brings to the gate. No
 * code of ours touches a byte; only answers that the edge itself made in place of the gate's are told apart.
 */
import { gateHeaders, type PipeError } from "../../core/protocol/gate.ts";
import type { Pipe, Reached } from "./pipe.ts";

export interface TunnelPipeOptions {
  hostname: string;
  /** One address for all hostnames, in place of theirs; for tests. */
  edgeUrl?: string | null;
  /** Where an Access policy guards the hostname. The gate takes these headers off. */
  access?: { clientId: string; clientSecret: string } | null;
}

/** With `edgeUrl`: the hostname that is meant. */
const hostHeader = "x-tunnel-host";

/** Statuses with which the edge answers for a machine: its tunnel is not there (530), or broke. */
const edgeStatuses = new Set([502, 504, 520, 521, 522, 523, 524, 525, 526, 530]);
/** How its pages begin, in the forms in which a Worker gets them: a line of text, HTML, JSON. */
const edgeWords =
  /^error code: \d+|cf-error-details|"cloudflare_error"\s*:|to traffic from cloudflared|Cloudflare Tunnel error/i;
const PAGE_BYTES = 16 * 1024;
/** The edge's pages come at once; a service may write its own slowly, and its caller waits no longer for that. */
const PAGE_MS = 1_000;

/** Words of a fetch that found nobody to send the request to. */
const notThere = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|DNS|name (resolution|lookup)|could not be resolved/i;

export function tunnelPipe({ hostname, edgeUrl, access }: TunnelPipeOptions): Pipe {
  return {
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const sent = new Request(`${edgeUrl || `https://${hostname}`}${pathname}${search}`, request);
      if (edgeUrl) sent.headers.set(hostHeader, hostname);
      if (access) {
        sent.headers.set("cf-access-client-id", access.clientId);
        sent.headers.set("cf-access-client-secret", access.clientSecret);
      }
      let response: Response;
      try {
        // By default the edge keeps what looks like a file, and answers it where the gate would not.
        response = await fetch(sent, { redirect: "manual", cache: "no-store" });
      } catch (error) {
        const words = nameError(error);
        return { ok: false, code: notThere.test(words) ? "closed" : "broken", message: words };
      }
      return judge(response);
    },
  };
}

async function judge(response: Response): Promise<Reached> {
  const { status } = response;
  if (!edgeStatuses.has(status) || response.headers.has(gateHeaders.error)) return { ok: true, response };
  const words = await readBegin(response);
  // A HEAD has no page; no service answers 530 of itself.
  const isEdge = words !== null && (edgeWords.test(words) || (status === 530 && words === ""));
  if (!isEdge) return { ok: true, response };
  await response.body?.cancel().catch(() => {});
  const message = /error code: \d+/.exec(words)?.[0] ?? `the edge answered ${status}`;
  return { ok: false, code: codeOf(status), message };
}

/**
 * 530: no connector is connected, or the name does not lead to a tunnel yet; nothing was sent to the machine. 524: the
 * machine has the request, and the edge waited its 100 seconds for the answer.
 */
function codeOf(status: number): PipeError {
  if (status === 530) return "closed";
  return status === 524 ? "late" : "broken";
}

/** The begin of a text, read from a copy; null for other things, which only a service answers. */
async function readBegin(response: Response): Promise<string | null> {
  if (!/^(text\/(html|plain)|application\/(problem\+)?json)\b/i.test(response.headers.get("content-type") ?? ""))
    return null;
  const reader = response.clone().body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  const isLate = new Promise<null>((resolve) => setTimeout(() => resolve(null), PAGE_MS));
  let text = "";
  try {
    while (text.length < PAGE_BYTES) {
      const part = await Promise.race([reader.read(), isLate]);
      if (part === null || part.done) break;
      text += decoder.decode(part.value, { stream: true });
    }
  } catch {
    // What came so far says enough.
  }
  void reader.cancel().catch(() => {});
  return text;
}

function nameError(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${words}${cause}`.slice(0, 300);
}
