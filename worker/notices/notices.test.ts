import { describe, expect, it } from "vitest";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { noticeGroups, noticeLanguages } from "../../core/protocol/notices.ts";
import type { EventView } from "../../core/protocol/views.ts";
import document from "../../docs/NOTICES.md?raw";
import { refuseAddress } from "./address.ts";
import { afterTry } from "./deliver.ts";
import { type Notice, noticesOf } from "./notice.ts";
import { topicOf, webhookBody } from "./requests.ts";
import { readRetryAfter } from "./send.ts";
import { messageOf } from "./words.ts";

const settings = {
  PUBLIC_URL: "https://soneca.example.com",
  PROXY_ZONE: "gpu.example.net",
  CLOUDFLARE_ZONE: "tun.example.org",
};

describe("an address", () => {
  it.each(["https://hooks.slack.com/services/T/B/x", "https://ntfy.sh/topic", "https://ntfy.example.com:8443/t"])(
    "%s may be called",
    (url) => expect(refuseAddress(url, settings)).toBeNull(),
  );

  it.each([
    "nothing",
    "ftp://example.com/",
    "http://example.com/",
    "https://user@example.com/",
    "https://user:word@example.com/",
    "https://example.com:22/",
    "https://example.com:80/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://127.0.0.1:8787/",
    "http://127.0.0.1:8787/",
    "https://localhost/",
    "https://[::1]/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://8.8.8.8/",
    "https://intranet/",
    "https://router.local/",
    "https://router.local./",
    "https://metadata.google.internal/",
    "https://nas.home.arpa/",
    "https://soneca.example.com/api/agent/status",
    "https://i-k3v7q2m4xa.gpu.example.net/",
    "https://i-k3v7q2m4xa.tun.example.org/",
  ])("%s may not", (url) => expect(refuseAddress(url, settings)).toEqual(expect.any(String)));

  it("of this machine itself may be one where the deployment says so, and nothing else becomes one", () => {
    const local = { ...settings, NOTICES_LOOPBACK: "on" };
    for (const url of ["http://127.0.0.1:9000/", "http://localhost:9000/x", "http://[::1]:9000/"])
      expect(refuseAddress(url, local)).toBeNull();
    for (const url of ["http://10.0.0.1/", "http://example.com/", "ftp://127.0.0.1/"])
      expect(refuseAddress(url, local)).toEqual(expect.any(String));
  });
});

describe("what is told", () => {
  const state = {
    instance: "i-k3v7q2m4xa" as InstanceId,
    name: "train",
    spec: { gpuType: "RTX 4090", gpuCount: 1, region: "BR", diskGb: 50, image: "-", maxMicroUsdPerHour: null },
  };
  const event = (event_type: string, params: EventView["params"] = {}, second = 0): EventView => ({
    seq: second + 1,
    instance_id: state.instance,
    event_type,
    timestamp: new Date(1_795_974_480_000 + second * 1000).toISOString(),
    actor: "system",
    actor_name: null,
    gpu_utilization: null,
    snapshot_id: null,
    reason: null,
    params,
  });
  const told = (...events: EventView[]) => noticesOf(state, events).map(({ type, seq }) => `${type} ${seq}`);

  it("a machine that does not end is told once, and not at each tenth try", () => {
    const tries = [6, 10, 20, 30].map((n, i) =>
      event("destroy_failed", { epoch: 2, tries: n, ...(i > 0 && { again: true }) }, i),
    );
    expect(told(...tries)).toEqual(["destroy_failed 1"]);
    expect(told(...tries.map((one) => ({ ...one, event_type: "stop_failed" })))).toEqual(["stop_failed 1"]);
  });

  it("of a wake that goes on trying the first failure and the end, in between nothing", () => {
    const failed = (at: number, next: EventView) => [event("wake_failed", { code: "no_offer" }, at), next];
    expect(told(...failed(0, event("wake_retry_planned", { tries: 1 }, 0)))).toEqual(["wake_failed 1"]);
    expect(told(...failed(5, event("wake_retry_planned", { tries: 2 }, 5)))).toEqual([]);
    expect(told(...failed(9, event("wake_retries_ended", { tries: 2 }, 9)))).toEqual(["wake_retries_ended 10"]);
    // It was not to be tried again at all: one word is enough.
    expect(told(...failed(0, event("wake_retries_ended", { tries: 0 }, 0)))).toEqual(["wake_failed 1"]);
    expect(told(event("wake_failed"), event("wake_retry_planned", { tries: 2 }, 60))).toEqual(["wake_failed 1"]);
  });

  it("lines of every day are not told", () => {
    expect(told(event("idle_detected"), event("checkpoint_taken"), event("config_changed"))).toEqual([]);
  });

  it("has words for every type in each language, and says the times that the log knows", () => {
    const types = Object.values(noticeGroups).flat();
    for (const language of noticeLanguages) {
      for (const type of types) {
        const [notice] = noticesOf(state, [event(type, { tries: 1 })]);
        const { title, text, url } = messageOf(notice!, language, settings.PUBLIC_URL);
        expect(title).toMatch(/^train: \S/);
        expect(text.length).toBeGreaterThan(5);
        expect(url).toBe("https://soneca.example.com/i/i-k3v7q2m4xa");
      }
    }
    const soon = noticesOf(state, [event("sleep_soon", { sleeps_at: 1_795_974_480_000 + 90_000 })])[0] as Notice;
    expect(messageOf(soon, "en", "").text).toBe("It goes to sleep in 90 s if nothing happens.");
    const woke = noticesOf(state, [event("woke_up", { wake_ms: 240_000 })])[0] as Notice;
    expect(messageOf(woke, "pt-BR", "")).toMatchObject({ text: "Está pronta, depois de 4 min.", url: null });
  });
});

describe("the next try", () => {
  const failed = { code: "status", status: 500, answer: null, tookMs: 5, retryAfterMs: null } as const;
  const hour = 3_600_000;

  it("comes later and later, at most an hour, never sooner than was asked for, and ends after a day", () => {
    const waits = Array.from({ length: 12 }, (_, tries) => afterTry({ tries, createdAt: 0 }, failed, 0, 1).nextTryAt);
    expect(waits.slice(0, 4)).toEqual([20_000, 40_000, 80_000, 160_000]);
    expect(waits.at(-1)).toBe(hour);
    expect(afterTry({ tries: 0, createdAt: 0 }, failed, 0, 0).nextTryAt).toBe(10_000);
    expect(afterTry({ tries: 0, createdAt: 0 }, { ...failed, retryAfterMs: hour * 2 }, 0, 1).nextTryAt).toBe(hour * 2);
    const late = afterTry({ tries: 20, createdAt: 0 }, failed, 23.5 * hour, 1);
    expect(late).toMatchObject({ state: "failed", nextTryAt: null, code: "status" });
    expect(afterTry({ tries: 0, createdAt: 0 }, { ...failed, retryAfterMs: 25 * hour }, 0, 1).state).toBe("failed");
  });

  it("is not made where time heals nothing", () => {
    for (const code of ["gone", "address", "no_email"] as const)
      expect(afterTry({ tries: 0, createdAt: 0 }, { ...failed, code }, 0, 1)).toMatchObject({ state: "failed", code });
  });

  it("reads Retry-After as seconds, also broken ones, and as a date", () => {
    expect([readRetryAfter("0.25", 0), readRetryAfter("3", 0)]).toEqual([250, 3_000]);
    expect(readRetryAfter("Thu, 01 Jan 1970 00:01:00 GMT", 10_000)).toBe(50_000);
    for (const text of [null, "", "soon", "-5"]) expect(readRetryAfter(text, 0)).toBeNull();
  });
});

it("finds topic and server of an ntfy address", () => {
  expect(topicOf("https://ntfy.sh/one")).toEqual({ base: "https://ntfy.sh/", topic: "one" });
  expect(topicOf("https://example.com/ntfy/two/")).toEqual({ base: "https://example.com/ntfy", topic: "two" });
});

it("docs/NOTICES.md shows what a webhook is sent", () => {
  const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(document)![1]!);
  const { seq, ...event } = shown.data.event;
  const { group, instance } = shown.data;
  const notice: Notice = { type: "wake_failed", at: Date.parse(shown.timestamp), group, instance, seq, ...event };
  expect(webhookBody(notice, messageOf(notice, "en", "https://soneca.example.com"))).toEqual(shown);
  for (const name of Object.keys(noticeGroups)) expect(document).toContain(`\`${name}\``);
});
