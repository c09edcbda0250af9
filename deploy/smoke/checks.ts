/** What differs between a deployment and the local cloud, each as one check. A check that cannot be made here says why. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type SelfTestAnswer,
  type SelfTestPart,
  selfTestEvents,
  selfTestPaths,
} from "../../core/protocol/self-test.ts";
import { openSocket, type Target, tryRaw } from "./http.ts";

/** `skipped` is no failure: `why` is what it takes. */
export type Outcome = { ok: true; detail: string } | { ok: false; detail: string } | { skipped: string };

export interface Check {
  name: string;
  run(target: Target): Promise<Outcome>;
}

const ok = (detail = ""): Outcome => ({ ok: true, detail });
const bad = (detail: string): Outcome => ({ ok: false, detail });
const skip = (why: string): Outcome => ({ skipped: why });
const when = (holds: boolean, detail: string): Outcome => (holds ? ok(detail) : bad(detail));

const noUser = "SONECA_TOKEN is not set";
const noAdmin = "SONECA_ADMIN_TOKEN is not set";

const forUser = (name: string, run: Check["run"]): Check => ({
  name,
  run: async (target) => (target.userToken ? run(target) : skip(noUser)),
});
const forAdmin = (name: string, run: Check["run"]): Check => ({
  name,
  run: async (target) => (target.adminToken ? run(target) : skip(noAdmin)),
});

interface Health {
  ok: boolean;
  version: string;
  cron: Record<"sweep" | "provider", { age_seconds: number; is_late: boolean } | null> | null;
}

interface Me {
  id: string;
}

const atTheDoor: Check[] = [
  {
    name: "it answers",
    run: async (target) => {
      const { status, body } = await target.json<Health>("GET", "/api/health");
      return when(status === 200 && body?.ok === true, `version ${body?.version ?? `unknown: it answered ${status}`}`);
    },
  },
  {
    name: "over TLS, at the address that it gives to agents",
    run: async (target) => {
      const { body } = await target.json<{ servers?: { url: string }[] }>("GET", "/api/openapi.json");
      const url = body?.servers?.[0]?.url ?? "none";
      if (url.replace(/\/$/, "") !== target.url) return bad(`PUBLIC_URL is ${url}`);
      return target.isLocal ? skip("one's own machine has no certificate; the address is right") : ok(url);
    },
  },
  {
    name: "its cron fires each minute",
    run: (target) => cronCheck(target, "sweep", 150_000),
  },
  {
    name: "the provider's list is compared each five minutes",
    run: (target) => cronCheck(target, "provider", 0),
  },
  {
    name: "nobody without a token is let in",
    run: async (target) => {
      const { status, headers } = await target.json("GET", "/api/instances", { token: "" });
      return when(status === 401 && headers.has("x-request-id"), `it answers ${status}`);
    },
  },
  {
    name: "agents get the program whose hash is beside it",
    run: async (target) => {
      const file = await target.bytes("/agent/soneca-agent.mjs");
      const named = new TextDecoder().decode(await target.bytes("/agent/soneca-agent.mjs.sha256")).slice(0, 64);
      return when(createHash("sha256").update(file).digest("hex") === named, `${file.length} bytes`);
    },
  },
  {
    name: "Cloudflare Access lets tokens through",
    run: async (target) => {
      const page = await target.json("GET", "/", { token: "" });
      const isGuarded = (page.headers.get("location") ?? "").includes("cloudflareaccess.com");
      if (!isGuarded) return skip("no Access stands in front of this address");
      if (!target.userToken) return skip(noUser);
      const { status, body } = await target.json<Me>("GET", "/api/me");
      return when(
        status === 200 && body?.id !== undefined,
        `with a token it answers ${status}; agents need a policy Bypass for /api/ and /agent/`,
      );
    },
  },
  {
    name: "the dashboard on Pages reaches it",
    run: async (target) => {
      if (!target.dashboard) return skip("no --dashboard URL was given");
      const { status, body } = await target.json<Health>("GET", `${target.dashboard}/api/health`);
      return when(status === 200 && body?.ok === true, `${target.dashboard} answers ${status}`);
    },
  },
];

async function cronCheck(target: Target, duty: "sweep" | "provider", patienceMs: number): Promise<Outcome> {
  for (const until = Date.now() + patienceMs; ; await sleep(5_000)) {
    const { body } = await target.json<Health>("GET", "/api/health");
    if (body?.cron == null) return bad("the database does not answer");
    const run = body.cron[duty];
    if (run) return when(!run.is_late, `${run.age_seconds} s ago`);
    if (Date.now() < until) continue;
    return duty === "provider" ? skip("it was not due yet: five minutes after a first deployment it is") : bad("never");
  }
}

const forPeople: Check[] = [
  forUser("a token opens what is its own", async (target) => {
    const { status, body } = await target.json<Me>("GET", "/api/me");
    return when(status === 200 && body?.id !== undefined, `/api/me answers ${status}`);
  }),
  forUser("vast.ai takes the deployment's key", async (target) => {
    const { status, body } = await target.json<{ offers?: unknown[]; error?: { code: string } }>("GET", "/api/offers");
    const words = body?.error ? `${status} ${body.error.code}` : `${body?.offers?.length ?? 0} offers`;
    return when(status === 200 && body?.offers !== undefined, words);
  }),
  forUser("a page hears of its instance over a WebSocket", async (target) => {
    const { body } = await target.json<{ instances?: { id: string }[] }>("GET", "/api/instances");
    const id = body?.instances?.[0]?.id;
    if (!id) return skip("this token has no instance yet");
    const socket = await openSocket(target, `/api/instances/${id}/watch`, target.userToken);
    const first = await socket.next();
    socket.close();
    return when(first.includes('"instance"'), first.slice(0, 60));
  }),
];

const selfTest = (part: SelfTestPart, name: string): Check =>
  forAdmin(name, async (target) => {
    const { status, text, body } = await target.json<SelfTestAnswer>("POST", "/api/self-test", {
      token: target.adminToken,
      body: { part },
    });
    if (status !== 200 || !body) return bad(`it answers ${status}: ${text.slice(0, 120)}`);
    const wrong = body.checks.filter((one) => !one.ok);
    const words = (wrong.length > 0 ? wrong : body.checks).map(({ name, detail }) =>
      detail ? `${name} (${detail})` : name,
    );
    return when(wrong.length === 0, words.join("; "));
  });

const ofThePlatform: Check[] = [
  selfTest("database", "D1 answers"),
  selfTest("store", "R2 keeps its promises"),
  selfTest("alarm", "alarms fire"),
  forAdmin("CPU time is not the free plan's", async (target) => {
    const outcome = await selfTest("cpu", "").run(target);
    const wasMeasured = "ok" in outcome && outcome.ok;
    return wasMeasured && target.isLocal ? skip("workerd on one's own machine has no limit") : outcome;
  }),
  forAdmin("answers arrive as they are written", async (target) => {
    const { everyMs, count } = selfTestEvents;
    const arrivals: number[] = [];
    let text = "";
    for await (const chunk of target.stream(selfTestPaths.stream, target.adminToken)) {
      arrivals.push(Date.now());
      text += new TextDecoder().decode(chunk);
    }
    const spreadMs = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0);
    const isWhole = text.includes(`data: ${count}`);
    return when(isWhole && spreadMs > everyMs, `${arrivals.length} pieces over ${spreadMs} ms`);
  }),
  forAdmin("a WebSocket to a Durable Object repeats what it hears", async (target) => {
    const socket = await openSocket(target, selfTestPaths.socket, target.adminToken);
    socket.send("ping of the smoke test");
    const heard = await socket.next();
    socket.close();
    return when(heard === "ping of the smoke test", heard);
  }),
  forAdmin("a body as large as a part passes", async (target) => {
    const body = Buffer.alloc(20 * 1024 * 1024, 7);
    const { status, text } = await tryRaw(target, { path: selfTestPaths.body, body });
    return when(status === 200 && text.includes(`${body.length}`), `20 MiB: ${status} ${text.slice(0, 120)}`);
  }),
  forAdmin("a body that waits for 100 Continue passes", async (target) => {
    const body = Buffer.alloc(1024 * 1024, 7);
    const { status, text } = await tryRaw(target, { path: selfTestPaths.body, body, expectsContinue: true });
    return when(status === 200 && text.includes(`${body.length}`), `${status} ${text.slice(0, 120)}`);
  }),
  forAdmin("a body of unknown length is refused, not stored", async (target) => {
    const { status } = await tryRaw(target, { path: selfTestPaths.body, body: Buffer.alloc(1024), isChunked: true });
    return when(status === 411, `it answers ${status}`);
  }),
  forAdmin("a body above 100 MB ends with 413", async (target) => {
    const { status } = await tryRaw(target, { path: selfTestPaths.body, body: null, claims: 105_000_000 });
    return when(status === 413, `it answers ${status}`);
  }),
];

export const checks: readonly Check[] = [
  ...atTheDoor,
  ...forPeople,
  ...ofThePlatform,
  {
    name: "machines are reached by relay or tunnel",
    run: async () => skip("it takes a machine: `soneca instance show ID` says how its services are reached"),
  },
];
