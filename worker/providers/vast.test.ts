import { describe, expect, it } from "vitest";
import type { CreateRequest, OfferQuery } from "./provider.ts";
import { listCountries, readRegion } from "./regions.ts";
import { createVastProvider } from "./vast.ts";
import { fatalWords, readFatal } from "./vast-fatal.ts";

interface Sent {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: Record<string, unknown> | null;
}
type Step = (sent: Sent, signal: AbortSignal) => Response | Promise<Response>;

const KEY = "key-of-the-account-1234";
const NOW = Date.UTC(2026, 10, 24);

/** A fetch that plays the steps in turn and keeps what it was sent; the last step repeats. */
function script(...steps: Step[]) {
  const sent: Sent[] = [];
  const play: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    sent.push({
      method: init?.method ?? "GET",
      path: url.pathname,
      query: url.searchParams,
      headers: new Headers(init?.headers),
      body: typeof init?.body === "string" ? JSON.parse(init.body) : null,
    });
    return steps[Math.min(sent.length, steps.length) - 1]!(sent.at(-1)!, init!.signal as AbortSignal);
  };
  const provider = createVastProvider({
    baseUrl: "https://vast.test/",
    apiKey: KEY,
    fetch: play,
    now: () => NOW,
    sleep: async () => {},
    random: () => 0.5,
    timeouts: { readMs: 50, writeMs: 50, createMs: 50 },
  });
  return { provider, sent };
}

const json =
  (body: unknown, status = 200, headers = {}): Step =>
  () =>
    new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const plain =
  (body: string, status: number, headers = {}): Step =>
  () =>
    new Response(body, { status, headers });
const lost: Step = () => Promise.reject(new TypeError("fetch failed"));
const silent: Step = (_, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
const html502 = plain("<html><h1>502 Bad Gateway</h1></html>", 502);

const offer = (change: object = {}) => ({
  id: 7100001,
  ask_contract_id: 7100001,
  machine_id: 4242,
  host_id: 77,
  num_gpus: 1,
  gpu_name: "RTX 4090",
  gpu_ram: 24564,
  disk_space: 812.4,
  dph_base: 0.38,
  dph_total: 0.4,
  storage_cost: 0.1,
  inet_up_cost: 0.003,
  inet_down_cost: 0.002,
  reliability2: 0.991,
  rentable: true,
  rented: false,
  verification: "verified",
  is_bid: false,
  geolocation: "Sweden, SE",
  end_date: NOW / 1000 + 30 * 86_400,
  ...change,
});

const query = (change: Partial<OfferQuery> = {}): OfferQuery => ({
  gpuType: "RTX 4090",
  gpuCount: 1,
  region: null,
  diskGb: 100,
  maxMicroUsdPerHour: null,
  avoidMachineIds: [],
  minGpuRamMb: null,
  ...change,
});

const instance = (change: object = {}) => ({
  id: 41000123,
  actual_status: "running",
  intended_status: "running",
  cur_state: "running",
  next_state: "running",
  status_msg: "success, running nvidia/cuda",
  label: "soneca:i-k3v7q2m4xa:1",
  image_runtype: "ssh_direct",
  ssh_host: "ssh5.vast.ai",
  ssh_port: 10122,
  public_ipaddr: " 203.0.113.9\n",
  ports: { "22/tcp": [{ HostIp: "0.0.0.0", HostPort: "20000" }] },
  machine_id: 4242,
  host_id: 77,
  start_date: 1795500000.5,
  gpu_name: "RTX 4090",
  num_gpus: 1,
  gpu_ram: 24564,
  dph_total: 0.41,
  inet_up_cost: 0.003,
  inet_down_cost: 0.002,
  disk_space: 150,
  image_uuid: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
  geolocation: "Sweden, SE",
  ...change,
});

const page = (instances: unknown[], more: object = {}) =>
  json({
    success: true,
    instances_found: instances.length,
    total_instances: instances.length,
    next_token: null,
    instances,
    ...more,
  });

const request = (change: Partial<CreateRequest> = {}): CreateRequest => ({
  offerId: 7100001,
  label: "soneca:i-k3v7q2m4xa:1",
  image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
  diskGb: 100,
  env: { SONECA_TOKEN: "jwt-very-secret-value", SONECA_EPOCH: "1" },
  onstart: "# soneca-onstart\ntrue",
  ...change,
});

async function searchOne(row: object, change: Partial<OfferQuery> = {}) {
  const answer = await script(json({ offers: [row] })).provider.searchOffers(query(change));
  if (!answer.ok) throw new Error(answer.message);
  return answer.offers;
}

async function listOne(row: object) {
  const answer = await script(page([row])).provider.listMachines();
  if (!answer.ok) throw new Error(answer.message);
  return answer.machines[0]!;
}

describe("search", () => {
  it("sends filters at the top level, with the disk in the price, and the key in the header only", async () => {
    const { provider, sent } = script(json({ offers: [] }));
    expect(await provider.searchOffers(query({ region: "SE", maxMicroUsdPerHour: 500_000 }))).toEqual({
      ok: true,
      offers: [],
    });
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ method: "POST", path: "/api/v0/bundles/" });
    expect(sent[0]!.body).toMatchObject({
      verified: { eq: true },
      external: { eq: false },
      rentable: { eq: true },
      num_gpus: { eq: 1 },
      gpu_name: { eq: "RTX 4090" },
      disk_space: { gte: 100 },
      geolocation: { in: ["SE"] },
      dph_total: { lte: 0.5 },
      allocated_storage: 100,
      type: "on-demand",
      limit: 64,
    });
    expect(sent[0]!.body).not.toHaveProperty("rented");
    expect(sent[0]!.headers.get("authorization")).toBe(`Bearer ${KEY}`);
    expect(sent[0]!.query.toString()).toBe("");
  });

  it("reads an offer, also with numbers as text", async () => {
    const expected = {
      id: 7100001,
      machineId: 4242,
      hostId: 77,
      gpuType: "RTX 4090",
      gpuCount: 1,
      gpuRamMb: 24564,
      microUsdPerHour: 400_000,
      diskMicroUsdPerHour: 13_699,
      upMicroUsdPerGb: 3000,
      downMicroUsdPerGb: 2000,
      region: "SE",
      reliability: 0.991,
      verified: true,
    };
    expect(await searchOne(offer())).toEqual([expected]);
    expect(await searchOne(offer({ num_gpus: "1", dph_total: "0.40", machine_id: "4242" }))).toEqual([expected]);
  });

  it.each([
    ["another GPU", { gpu_name: "RTX 3090" }],
    ["another number of GPUs", { num_gpus: 2 }],
    ["too small a disk", { disk_space: 50 }],
    ["too dear", { dph_total: 0.51 }],
    ["another country", { geolocation: "Japan, JP" }],
    ["no country at all", { geolocation: null }],
    ["a host to avoid", { machine_id: 13 }],
    ["too little memory", { gpu_ram: 10_000 }],
    ["not verified", { verification: "unverified" }],
    ["rented", { rented: true }],
    ["interruptible", { is_bid: true }],
    ["unreliable", { reliability2: 0.5 }],
    ["about to end", { end_date: NOW / 1000 + 3600 }],
  ])("leaves out what the provider forgot to filter: %s", async (_, change) => {
    const narrow = { region: "EU", maxMicroUsdPerHour: 500_000, avoidMachineIds: [13], minGpuRamMb: 20_000 };
    expect(await searchOne(offer(), narrow)).toHaveLength(1);
    expect(await searchOne(offer(change), narrow)).toEqual([]);
  });

  it.each([
    ["more GPUs than were asked for", { num_gpus: 2 }, { moreGpus: true }, true],
    ["fewer GPUs than were asked for", { num_gpus: 1 }, { moreGpus: true, gpuCount: 2 }, false],
    ["an unverified host where that is allowed", { verification: "unverified" }, { verifiedOnly: false }, true],
    ["a host under a stricter reliability", { reliability2: 0.96 }, { minReliability: 0.97 }, false],
    ["a host under a laxer one", { reliability2: 0.7 }, { minReliability: 0.5 }, true],
    ["a driver that is too old", { cuda_max_good: 12.2 }, { minCuda: 12.4 }, false],
    ["a driver that is new enough", { cuda_max_good: "12.8" }, { minCuda: 12.4 }, true],
    ["a driver that is not told", { cuda_max_good: null }, { minCuda: 12.4 }, true],
    ["dear traffic one way", { inet_up_cost: 0.02 }, { maxTrafficMicroUsdPerGb: 5_000 }, false],
    ["fair traffic", {}, { maxTrafficMicroUsdPerGb: 5_000 }, true],
    ["traffic whose price is not told", { inet_up_cost: null }, { maxTrafficMicroUsdPerGb: 5_000 }, false],
  ])("%s", async (_, change, wanted, fits) => {
    expect(await searchOne(offer(change), wanted)).toHaveLength(fits ? 1 : 0);
  });

  it("asks the provider to filter what the rules say", async () => {
    const { provider, sent } = script(json({ offers: [] }), json({ offers: [] }));
    const rules = { moreGpus: true, verifiedOnly: false, minReliability: 0.5, minCuda: 12.4 };
    await provider.searchOffers(query({ ...rules, maxTrafficMicroUsdPerGb: 5_000 }));
    expect(sent[0]!.body).toMatchObject({
      num_gpus: { gte: 1 },
      reliability2: { gte: 0.5 },
      cuda_max_good: { gte: 12.4 },
      inet_up_cost: { lte: 0.005 },
      inet_down_cost: { lte: 0.005 },
    });
    expect(sent[0]!.body).not.toHaveProperty("verified");
    await provider.searchOffers(query());
    expect(sent[1]!.body).toMatchObject({ num_gpus: { eq: 1 }, verified: { eq: true }, reliability2: { gte: 0.9 } });
    for (const field of ["cuda_max_good", "inet_up_cost"]) expect(sent[1]!.body).not.toHaveProperty(field);
  });

  it("prices the disk itself when the provider did not", async () => {
    const [priced] = await searchOne(offer({ dph_base: 0.4, dph_total: 0.4, storage_cost: 0.2, disk_space: 2000 }), {
      diskGb: 1000,
    });
    expect(priced!.microUsdPerHour).toBe(Math.round((0.4 + 200 / 730) * 1e6));
  });

  it("looks beyond 64 offers while none fits, and keeps the order by price", async () => {
    const full = Array.from({ length: 64 }, (_, index) =>
      offer({ id: index + 1, verification: "unverified", dph_total: 0.3 + index / 1000 }),
    );
    const rest = [offer({ id: 901, dph_total: 0.9 }), offer({ id: 900, dph_total: 0.8 })];
    const { provider, sent } = script(json({ offers: full }), json({ offers: rest }));
    const answer = await provider.searchOffers(query());
    expect(answer.ok && answer.offers.map(({ id }) => id)).toEqual([900, 901]);
    expect(sent[1]!.body!.dph_total).toEqual({ gte: 0.363 });
  });

  it("fails when nothing in the answer can be understood", async () => {
    for (const step of [
      json({ offers: [{ odd: 1 }] }),
      json({}),
      json([]),
      plain("hello", 200),
      json({ success: false, error: "x" }),
    ]) {
      expect(await script(step).provider.searchOffers(query())).toMatchObject({
        ok: false,
        code: "provider_unavailable",
        retryable: true,
      });
    }
  });

  it("repeats after lost and 5xx answers, three tries in all", async () => {
    const good = script(lost, html502, json({ offers: [offer()] }));
    expect(await good.provider.searchOffers(query())).toMatchObject({ ok: true });
    expect(good.sent).toHaveLength(3);
    const bad = script(html502);
    expect(await bad.provider.searchOffers(query())).toMatchObject({
      ok: false,
      code: "provider_unavailable",
      message: "HTTP 502: 502 Bad Gateway",
    });
    expect(bad.sent).toHaveLength(3);
  });
});

describe("create", () => {
  it("asks for an on-demand machine or none", async () => {
    const { provider, sent } = script(json({ success: true, new_contract: 41000123, instance_api_key: "k" }));
    expect(await provider.createMachine(request())).toEqual({ ok: true, id: 41000123 });
    expect(sent[0]).toMatchObject({ method: "PUT", path: "/api/v0/asks/7100001/" });
    expect(sent[0]!.body).toEqual({
      client_id: "me",
      image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
      disk: 100,
      label: "soneca:i-k3v7q2m4xa:1",
      env: { SONECA_TOKEN: "jwt-very-secret-value", SONECA_EPOCH: "1" },
      onstart: "# soneca-onstart\ntrue",
      runtype: "ssh_direct",
      target_state: "running",
      cancel_unavail: true,
      price: null,
    });
  });

  it.each([
    ["no answer", lost],
    ["silence", silent],
    ["502", html502],
    ["500", json({ success: false, error: "server_error" }, 500)],
    ["no contract in it", json({ success: true })],
    ["not JSON", plain("ok", 200)],
    ["a 404 page of a proxy", plain("<h1>Not Found</h1>", 404)],
  ])("is sent once, and may have worked: %s", async (_, step) => {
    const { provider, sent } = script(step);
    expect(await provider.createMachine(request())).toMatchObject({
      ok: false,
      code: "provider_unavailable",
      retryable: true,
    });
    expect(sent).toHaveLength(1);
  });

  it.each([
    [
      400,
      { error: "invalid_args", msg: "error 404/3603: no_such_ask Instance type by id 1 is not available.", ask_id: 1 },
    ],
    [404, { error: "invalid_args", msg: "error 404/3603: no_such_ask Instance type by id 1 is not available." }],
    [410, { error: "no_such_ask", msg: "error 410/3907: no_such_ask Instance type 1 is no longer available." }],
    [403, { msg: "error 403/3586: Offer 1 is not your own..." }],
    [200, { error: "no_such_ask" }],
  ])("knows a taken offer by its words, status %i", async (status, body) => {
    const answer = await script(json({ success: false, ...body }, status)).provider.createMachine(request());
    expect(answer).toMatchObject({ ok: false, code: "offer_gone", retryable: false });
  });

  it("hands over the machine that a failed create left behind", async () => {
    for (const status of [200, 400]) {
      const step = json({ success: false, error: "bid_too_low", msg: "no", new_contract: 41000124 }, status);
      expect(await script(step).provider.createMachine(request())).toMatchObject({ ok: false, strayId: 41000124 });
    }
  });

  it.each([
    [{ error: "insufficient_credit" }, "provider_no_credit"],
    [{ error: "spend_rate_limit", msg: "slow down" }, "provider_no_credit"],
    [{ error: "invalid_args", msg: "error 400/3467: Invalid args: image" }, "provider_refused"],
    [{ error: "auth_error", msg: "Invalid user key" }, "provider_auth"],
  ])("tells apart %o", async (body, code) => {
    expect(await script(json({ success: false, ...body }, 400)).provider.createMachine(request())).toMatchObject({
      ok: false,
      code,
      retryable: false,
    });
  });

  it("does not send what is sure to be refused", async () => {
    const { provider, sent } = script(json({}));
    const odd = [
      { onstart: "x".repeat(4049) },
      { diskGb: 7 },
      { label: "" },
      { label: "x".repeat(257) },
      { offerId: 0 },
      { image: "" },
    ];
    for (const change of odd) {
      expect(await provider.createMachine(request(change))).toMatchObject({ ok: false, code: "provider_refused" });
    }
    expect(sent).toHaveLength(0);
  });

  it("never repeats a secret", async () => {
    const msg = `bad env SONECA_TOKEN=jwt-very-secret-value with key ${KEY} and ${"y".repeat(900)}`;
    const answer = await script(json({ success: false, error: "invalid_args", msg }, 400)).provider.createMachine(
      request(),
    );
    expect(answer).toMatchObject({
      ok: false,
      message: expect.stringContaining("SONECA_TOKEN=[secret] with key [secret]"),
    });
    expect((answer as { message: string }).message.length).toBeLessThanOrEqual(500);
  });
});

describe("list", () => {
  it("walks every page of v1", async () => {
    const first = Array.from({ length: 25 }, (_, index) => instance({ id: 100 + index }));
    const { provider, sent } = script(
      page(first, { total_instances: 26, next_token: "T1" }),
      page([instance({ id: 200 })], { total_instances: 26 }),
    );
    const answer = await provider.listMachines();
    expect(answer.ok && answer.machines).toHaveLength(26);
    expect(sent.map(({ path, query }) => [path, query.get("limit"), query.get("after_token")])).toEqual([
      ["/api/v1/instances/", "25", null],
      ["/api/v1/instances/", "25", "T1"],
    ]);
  });

  it.each([
    ["HTML", html502],
    ["success false", json({ success: false, error: "server_error" })],
    [
      "the dead v0",
      json({ success: false, error: "deprecated_endpoint", msg: "Use /api/v1/instances/ instead." }, 410),
    ],
    ["cut JSON", plain('{"success":true,"instances":[{"id":4', 200)],
    ["no list", json({ success: true })],
    ["null list", json({ success: true, instances: null })],
    ["fewer than it counts", page([instance()], { total_instances: 2 })],
    ["fewer than were found", page([], { total_instances: 0, instances_found: 1 })],
    ["no rows, no number", json({ success: true, instances: [], next_token: null })],
    ["a number that is none", page([], { total_instances: "many", instances_found: null })],
    ["an error with 200", json({ error: "server_error", instances: [], total_instances: 0 })],
    ["a row without an id", page([instance(), { label: "x" }])],
    ["nothing at all", plain("", 200)],
    ["a redirect", plain("", 308, { location: "https://elsewhere.test/" })],
    ["lost", lost],
    ["silent", silent],
    ["404", json({ error: "not_found" }, 404)],
  ])("is a failure, never empty: %s", async (_, step) => {
    expect(await script(step).provider.listMachines()).toMatchObject({
      ok: false,
      code: "provider_unavailable",
      retryable: true,
    });
  });

  it("fails as a whole when a later page fails, or pages run in a circle", async () => {
    const one = page([instance()], { total_instances: 2, next_token: "T" });
    expect(await script(one, html502).provider.listMachines()).toMatchObject({
      ok: false,
      code: "provider_unavailable",
    });
    expect(await script(one).provider.listMachines()).toMatchObject({
      ok: false,
      message: expect.stringContaining("circle"),
    });
  });

  it("fails when its pages take too long", async () => {
    let n = 0;
    let now = NOW;
    const endless: typeof fetch = async () => {
      now += 10_000;
      return page([instance({ id: ++n })], { total_instances: 999, next_token: `T${n}` })(
        {} as Sent,
        {} as AbortSignal,
      );
    };
    const provider = createVastProvider({ baseUrl: "https://vast.test", apiKey: KEY, fetch: endless, now: () => now });
    expect(await provider.listMachines()).toMatchObject({
      ok: false,
      code: "provider_unavailable",
      message: expect.stringContaining("more than 90 s"),
    });
    expect(n).toBe(10);
  });

  it("is empty only when the provider says so", async () => {
    expect(await script(page([])).provider.listMachines()).toEqual({ ok: true, machines: [] });
  });

  it("reads a machine", async () => {
    expect(await listOne(instance())).toEqual({
      id: 41000123,
      label: "soneca:i-k3v7q2m4xa:1",
      envLabel: null,
      phase: "running",
      rawStatus: "running",
      statusMessage: "success, running nvidia/cuda",
      fatal: null,
      machineId: 4242,
      hostId: 77,
      gpuType: "RTX 4090",
      gpuCount: 1,
      gpuRamMb: 24564,
      diskGb: 150,
      image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
      region: "SE",
      microUsdPerHour: 410_000,
      diskMicroUsdPerHour: null,
      upMicroUsdPerGb: 3_000,
      downMicroUsdPerGb: 2_000,
      startedAt: 1795500000500,
      runningSince: null,
      sshHost: "203.0.113.9",
      sshPort: 20000,
    });
  });

  it("reads the price of the disk as told per hour, else per GB and month", async () => {
    expect(await listOne(instance({ storage_total_cost: "0.031", storage_cost: 0.15 }))).toMatchObject({
      diskMicroUsdPerHour: 31_000,
    });
    expect(await listOne(instance({ storage_cost: 0.146 }))).toMatchObject({ diskMicroUsdPerHour: 30_000 });
    expect(await listOne(instance({ storage_cost: 0.15, disk_space: null }))).toMatchObject({
      diskMicroUsdPerHour: null,
    });
  });

  it("reads since when it runs, and the label that its environment tells", async () => {
    const extra_env = [
      ["SONECA_INSTANCE", "i-k3v7q2m4xa"],
      ["SONECA_EPOCH", "12"],
      ["-p 80:80", "1"],
    ];
    const read = await listOne(instance({ label: null, uptime_mins: 2.5, extra_env }));
    expect(read).toMatchObject({ label: null, envLabel: "soneca:i-k3v7q2m4xa:12", runningSince: NOW - 150_000 });
  });

  it.each([
    [[["SONECA_INSTANCE", "i-k3v7q2m4xa"]]],
    [
      [
        ["SONECA_INSTANCE", "somebody"],
        ["SONECA_EPOCH", "1"],
      ],
    ],
    [
      [
        ["SONECA_INSTANCE", "i-k3v7q2m4xa"],
        ["SONECA_EPOCH", "0"],
      ],
    ],
    [["SONECA_INSTANCE", null, 7]],
    ["SONECA_INSTANCE=i-k3v7q2m4xa"],
    [null],
  ])("an environment that is not ours tells no label: %j", async (extra_env) => {
    expect((await listOne(instance({ extra_env })))!.envLabel).toBeNull();
  });

  it("survives a fresh machine of which nearly nothing is known", async () => {
    const bare = { id: 5, actual_status: null, status_msg: null, label: null, ports: null, intended_status: "running" };
    expect(await listOne(bare)).toMatchObject({
      id: 5,
      phase: "loading",
      label: null,
      sshHost: null,
      startedAt: null,
      region: null,
    });
  });

  it.each([
    [null, "running", "running", "loading"],
    [null, "running", "unloaded", "loading"],
    ["created", "running", "running", "loading"],
    ["loading", "running", "running", "loading"],
    ["rebooting", "running", "running", "loading"],
    ["running", "running", "running", "running"],
    ["running", "stopped", "running", "running"],
    ["frozen", "frozen", "running", "running"],
    ["frozen", "stopped", "stopped", "running"],
    [null, "frozen", "running", "loading"],
    ["exited", "stopped", "stopped", "stopped"],
    ["stopped", "stopped", "stopped", "stopped"],
    [null, "stopped", "stopped", "stopped"],
    ["exited", "stopped", "unloaded", "stopped"],
    ["exited", "running", "stopped", "queued"],
    ["stopped", "running", "stopped", "queued"],
    ["exited", "running", "running", "lost"],
    ["unknown", "running", "running", "lost"],
    ["offline", "running", "running", "lost"],
    ["offline", "stopped", "stopped", "lost"],
  ])(
    "derives the phase of actual %s, intended %s, cur %s: %s",
    async (actual_status, intended_status, cur_state, phase) => {
      expect(await listOne(instance({ actual_status, intended_status, cur_state }))).toMatchObject({ phase });
    },
  );

  it("takes the proxy's address where there is no direct one", async () => {
    expect(await listOne(instance({ ports: null }))).toMatchObject({ sshHost: "ssh5.vast.ai", sshPort: 10122 });
    const jupyter = instance({ ports: {}, image_runtype: "jupyter_proxy ssh_proxy" });
    expect(await listOne(jupyter)).toMatchObject({ sshPort: 10123 });
  });
});

describe("fatal words", () => {
  const seen = new Set<unknown>();

  it.each([
    ["Error: GPU error, unable to start instance", "host"],
    ["write /var/lib: no space left on device", "host"],
    ["failed to copy: unexpected EOF", "host"],
    ["OCI runtime create failed: runc", "host"],
    ["failed to inject CDI devices", "host"],
    ["docker_build() error writing dockerfile", "host"],
    ["nvidia-container-cli: device error: 0", "host"],
    ["unable to determine the device handle for GPU", "host"],
    ["manifest for foo/bar:x not found: manifest unknown", "image"],
    ["pull access denied for foo, repository does not exist", "image"],
    ["unauthorized: authentication required", "image"],
    ["manifest for foo/bar:x not found", "image"],
    ["docker: repository does not exist or may require login", "image"],
    ["docker: invalid reference format", "image"],
    // Words of both: the host may be full, but no host will find the image.
    ["no space left on device; manifest unknown", "image"],
    ["Waiting for template update", null],
    ["4f4fb7: Pull complete", null],
    [null, null],
  ])("%s -> %s", (message, fatal) => {
    expect(readFatal(message)).toBe(fatal);
    for (const one of fatalWords) if (one.pattern.test(message ?? "")) seen.add(one);
  });

  it("are all shown above", () => {
    expect(fatalWords.filter((one) => !seen.has(one))).toEqual([]);
  });

  it("say nothing while the machine runs", async () => {
    expect((await listOne(instance({ status_msg: "OCI runtime create failed" }))).fatal).toBeNull();
    expect(
      (await listOne(instance({ actual_status: "created", status_msg: "GPU error, unable to start instance" }))).fatal,
    ).toBe("host");
  });
});

describe("calls by id", () => {
  it("destroy: accepted, or already gone", async () => {
    const { provider, sent } = script(json({ success: true }));
    expect(await provider.destroyMachine(41000123)).toEqual({ ok: true, gone: false });
    expect(sent[0]).toMatchObject({ method: "DELETE", path: "/api/v0/instances/41000123/", body: {} });
    for (const step of [
      json({ success: false, error: "no_such_instance" }, 404),
      json({ success: false, error: "not_found" }, 404),
    ]) {
      expect(await script(step).provider.destroyMachine(1)).toEqual({ ok: true, gone: true });
    }
  });

  it.each([
    ["wrong key as 404", json({ success: false, error: "auth_error", msg: "Invalid user key" }, 404), "provider_auth"],
    ["wrong key as 401", json({ success: false, error: "auth_error", msg: "Invalid user key" }, 401), "provider_auth"],
    ["no key", json({ success: false, error: "auth_error", msg: "This action requires login." }, 403), "provider_auth"],
    ["a key without the right", json({ success: false, msg: "permission denied" }, 403), "provider_auth"],
    ["a proxy's 404", plain("<h1>404 Not Found</h1>", 404), "provider_unavailable"],
    ["200 success false", json({ success: false, msg: "try later" }), "provider_unavailable"],
    ["200 and an error", json({ error: "server_error", msg: "try later" }), "provider_unavailable"],
    ["500", plain("oops", 500), "provider_unavailable"],
  ])("destroy is not gone: %s", async (_, step, code) => {
    expect(await script(step).provider.destroyMachine(1)).toMatchObject({ ok: false, code });
  });

  it("start: queued when no GPU is free, whatever success says", async () => {
    const msg = "Required resources are currently unavailable, state change queued";
    expect(await script(json({ success: true })).provider.startMachine(1)).toEqual({ ok: true, queued: false });
    expect(await script(json({ success: true, msg })).provider.startMachine(1)).toEqual({ ok: true, queued: true });
    expect(await script(json({ success: false, msg })).provider.startMachine(1)).toEqual({ ok: true, queued: true });
  });

  it("stop and label send one field each", async () => {
    const { provider, sent } = script(json({ success: true }));
    await provider.stopMachine(7);
    await provider.setLabel(7, "soneca:i-k3v7q2m4xa:2");
    expect(sent.map(({ body }) => body)).toEqual([{ state: "stopped" }, { label: "soneca:i-k3v7q2m4xa:2" }]);
  });

  it("refuses what is no id", async () => {
    const { provider, sent } = script(json({ success: true }));
    for (const id of [0, -1, 1.5, Number.NaN])
      expect(await provider.destroyMachine(id)).toMatchObject({ ok: false, code: "provider_refused" });
    expect(sent).toHaveLength(0);
  });
});

describe("too many requests", () => {
  it.each([
    ["text", plain("API requests too frequent: endpoint threshold=4.5", 429), 4500],
    ["detail", json({ detail: "API requests too frequent endpoint threshold=2.0" }, 429), 2000],
    ["json", json({ success: false, error: "rate_limit_exceeded", msg: "x" }, 429), 3000],
    ["retry_after in the body", json({ error: "rate_limit_exceeded", retry_after: 7 }, 429), 7000],
    ["Retry-After", plain("slow", 429, { "retry-after": "9" }), 9000],
    ["Retry-After, a date", plain("slow", 429, { "retry-after": new Date(NOW + 20_000).toUTCString() }), 20_000],
    ["Retry-After, a date gone by", plain("slow", 429, { "retry-after": new Date(NOW - 9000).toUTCString() }), 3000],
    ["Retry-After, odd", plain("slow", 429, { "retry-after": "soon" }), 3000],
    ["Retry-After, empty", plain("threshold=2.0", 429, { "retry-after": "" }), 2000],
    ["Retry-After, nothing", plain("slow", 429, { "retry-after": "0" }), 3000],
    ["Retry-After, a week", plain("slow", 429, { "retry-after": "604800" }), 300_000],
    ["said with 200", json({ success: false, error: "rate_limit_exceeded" }), 3000],
  ])("are not repeated and say when to ask again: %s", async (_, step, retryAfterMs) => {
    const { provider, sent } = script(step);
    expect(await provider.destroyMachine(1)).toMatchObject({
      ok: false,
      code: "provider_rate_limited",
      retryable: true,
      retryAfterMs,
    });
    expect(sent).toHaveLength(1);
  });

  it("wait at least 12 s before another create", async () => {
    const step = plain("API requests too frequent: endpoint threshold=4.5", 429);
    expect(await script(step).provider.createMachine(request())).toMatchObject({
      code: "provider_rate_limited",
      retryAfterMs: 12_000,
    });
  });
});

describe("regions", () => {
  it("reads both spellings of a place", () => {
    expect(["Sweden, SE", "SE", "Quebec, CA", ", us", "", null, "Atlantis"].map(readRegion)).toEqual([
      "SE",
      "SE",
      "CA",
      "US",
      "ZZ",
      "ZZ",
      "ZZ",
    ]);
  });

  it("takes the six groups before the countries of the same code", () => {
    expect(listCountries("EU")).toContain("SE");
    expect(listCountries("NA")).toEqual(expect.arrayContaining(["US", "CA", "MX"]));
    expect(listCountries("AF")).not.toContain("AF");
    expect(listCountries("br")).toEqual(["BR"]);
    expect(listCountries(null)).toBeNull();
  });
});
