/** What could be rented, and what is rented already and managed by nobody, as a user sees it. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { accountOf } from "../account/accounts.ts";
import type { Env } from "../env.ts";
import { advance, api, newUser, outcome, realWait, runningInstance, settle, type TestUser } from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, offer, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
  vast.offers = [
    offer(1, 0.9),
    offer(2, 0.4),
    offer(3, 0.3, { geolocation: "Sweden, SE" }),
    offer(4, 0.2, { gpu_name: "RTX 3060", gpu_ram: 12_288 }),
    offer(5, 0.35, { gpu_name: "RTX A6000", gpu_ram: 49_140, inet_up_cost: 0.002, inet_down_cost: 0.001 }),
    offer(6, 0.25, { verification: "unverified" }),
    offer(7, 1.5, { num_gpus: 2 }),
  ];
});
afterEach(endScene);

type Offers = AnswerOf<"listOffers">;
const get = (query: string) => api<Offers>("GET", `/api/offers?${query}`, { token: user.token });
const pricesOf = ({ offers }: Offers) =>
  offers.map((one) => [one.gpu_type, one.region, one.micro_usd_per_hour / 1_000_000]);

describe("before a create", () => {
  it("is the asked GPU first, the cheapest in front, then others with its memory", async () => {
    const { status, body } = await get("gpu_type=RTX_4090");
    expect(status).toBe(200);
    expect(pricesOf(body)).toEqual(
      [
        ["RTX 4090", "SE", 0.3],
        ["RTX 4090", "BR", 0.4],
        ["RTX 4090", "BR", 0.9],
        ["RTX A6000", "BR", 0.35],
        // As many GPUs, or more.
        ["RTX 4090", "BR", 1.5],
      ].toSorted((a, b) => Number(b[0] === "RTX 4090") - Number(a[0] === "RTX 4090")),
    );
    expect(body.offers.at(-1)).toMatchObject({
      up_micro_usd_per_gb: 2_000,
      down_micro_usd_per_gb: 1_000,
      verified: true,
    });
    expect(body.offers.every((one) => !one.is_usual && !one.is_over_price)).toBe(true);
    expect(Date.parse(body.at)).toBe(Date.now());
  });

  it("is bound to the region and the number that were asked for", async () => {
    expect(pricesOf((await get("gpu_type=RTX 4090&region=eu")).body)).toEqual([["RTX 4090", "SE", 0.3]]);
    expect(pricesOf((await get("gpu_count=2")).body)).toEqual([["RTX 4090", "BR", 1.5]]);
    expect((await get("gpu_type=RTX 4090&limit=2")).body.offers).toHaveLength(2);
    expect(pricesOf((await get("")).body)[0]).toEqual(["RTX 3060", "BR", 0.2]);
    expect((await get("gpu_type=H100")).body.offers).toEqual([]);
    for (const wrong of ["region=Brazil", "gpu_count=0", "limit=65", "price=1", "instance=nest"])
      expect((await get(wrong)).status).toBe(400);
  });
});

describe("for a wake", () => {
  async function sleeper(spec: object) {
    const json = { name: "nest", gpu_type: "RTX 4090", ...spec };
    const { body } = await api<InstanceView>("POST", "/api/instances", { token: user.token, json });
    await settle(body.id);
    advance(120_000);
    return body.id;
  }

  it("says what a plain wake would take, and what is over its price", async () => {
    const id = await sleeper({ region: "BR", max_micro_usd_per_hour: 500_000 });
    const { body } = await get(`instance=${id}`);
    const words = body.offers.map((one) => [one.micro_usd_per_hour / 1_000_000, one.is_usual, one.is_over_price]);
    expect(words).toEqual([
      [0.3, false, false],
      [0.4, true, false],
      [0.9, false, true],
      [1.5, false, true],
      [0.35, false, false],
    ]);
  });

  it("looks elsewhere, and for what is named in place of its own", async () => {
    const id = await sleeper({ region: "BR" });
    const named = (await get(`instance=${id}&gpu_type=RTX A6000`)).body;
    expect(pricesOf(named)[0]).toEqual(["RTX A6000", "BR", 0.35]);
    expect(named.offers.some((one) => one.is_usual)).toBe(false);
    vast.offers = [offer(8, 0.5, { geolocation: "Norway, NO", gpu_ram: null })];
    advance(120_000);
    // Its memory is known of the machine it has; without one it is looked for elsewhere.
    expect(pricesOf((await get(`instance=${id}&gpu_type=RTX 4090`)).body)).toEqual([["RTX 4090", "NO", 0.5]]);
  });

  it("keeps to its rules", async () => {
    const id = await sleeper({ rent: { verified_only: false, max_traffic_micro_usd_per_gb: null } });
    expect(pricesOf((await get(`instance=${id}`)).body)[0]).toEqual(["RTX 4090", "BR", 0.25]);
  });

  it("is its owner's alone", async () => {
    const id = await sleeper({});
    const other = await newUser("Bea");
    expect(await outcome("GET", `/api/offers?instance=${id}`, { token: other.token })).toBe("404 instance_not_found");
    expect(await outcome("GET", "/api/offers?instance=i-aaaaaaaaaa", { token: user.token })).toBe(
      "404 instance_not_found",
    );
  });
});

describe("the provider", () => {
  it("is asked once a minute for the same, and by a create for what is new", async () => {
    advance(120_000);
    const before = vast.count("search");
    const first = await Promise.all([get("gpu_count=2"), get("gpu_count=2"), get("gpu_count=2")]);
    expect(first.map(({ body }) => body.offers.length)).toEqual([1, 1, 1]);
    advance(50_000);
    const { body } = await get("gpu_count=2");
    expect(Date.now() - Date.parse(body.at)).toBe(50_000);
    expect(vast.count("search") - before).toBe(1);
    advance(20_000);
    expect(Date.parse((await get("gpu_count=2")).body.at)).toBe(Date.now());
    expect(vast.count("search") - before).toBe(2);
  });

  it("is not held up by who looks around", async () => {
    advance(120_000);
    vast.always.search = async () => {
      await realWait(60);
      return null;
    };
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        api<ErrorBody>("GET", `/api/offers?disk_gb=${20 + i}`, { token: user.token }),
      ),
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]!.body.error.code).toBe("provider_rate_limited");
    expect(Number(refused[0]!.headers.get("retry-after"))).toBeGreaterThan(0);
    vast.always = {};
    expect((await get("disk_gb=100")).status).toBe(200);
  });

  it("that fails is an error, and never an answer without offers", async () => {
    advance(120_000);
    vast.always.search = vastErrors.down;
    expect(await outcome("GET", "/api/offers", { token: user.token })).toBe("503 provider_unavailable");
    vast.always.search = vastErrors.auth;
    advance(120_000);
    expect((await outcome("GET", "/api/offers", { token: user.token })).slice(4)).toBe("provider_auth");
    vast.always = { list: vastErrors.down };
    advance(120_000);
    expect(await outcome("GET", "/api/machines", { token: user.token })).toBe("503 provider_unavailable");
    vast.always = {};
  });
});

describe("machines that could be adopted", () => {
  const list = () => api<AnswerOf<"listAdoptable">>("GET", "/api/machines", { token: user.token });

  it("are those without a label of ours, as the provider tells of them", async () => {
    await runningInstance(vast, user);
    const free = vast.add("my training");
    const plain = vast.add(null, { status: "exited", usdPerHour: 0.7 });
    vast.add("soneca:i-aaaaaaaaaa:3");
    vast.add(null, { showsEnv: true, env: { SONECA_INSTANCE: "i-aaaaaaaaaa", SONECA_EPOCH: "2" } });
    vast.add("renamed", { showsEnv: true, env: { SONECA_INSTANCE: "i-aaaaaaaaaa", SONECA_EPOCH: "4" } });
    advance(10_000);
    const { status, body } = await list();
    expect(status).toBe(200);
    expect(body.machines.map((one) => one.vast_instance_id)).toEqual([free.id, plain.id]);
    expect(body.machines[0]).toMatchObject({
      gpu_type: "RTX 4090",
      gpu_count: 1,
      region: "BR",
      micro_usd_per_hour: 410_000,
      status: "running",
      label: "my training",
      image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
    });
    expect(body.machines[1]).toMatchObject({ status: "exited", label: null, micro_usd_per_hour: 700_000 });
  });

  it("are none of an instance, whatever its owner calls them", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await settle(nest.id);
    agent.machine.label = "mine";
    agent.machine.env = {};
    advance(10_000);
    expect((await list()).body.machines).toEqual([]);
  });

  it("is one less once it is adopted", async () => {
    const { id } = vast.add("mine");
    advance(10_000);
    expect((await list()).body.machines).toHaveLength(1);
    const json = { vast_instance_id: id, name: "adopted" };
    expect((await api("POST", "/api/instances/adopt", { token: user.token, json })).status).toBe(201);
    expect((await list()).body.machines).toEqual([]);
  });
});

it("what is kept of searches is bounded", async () => {
  advance(120_000);
  const account = accountOf(env as Env);
  const plain = {
    gpuType: null,
    gpuCount: 1,
    region: null,
    maxMicroUsdPerHour: null,
    avoidMachineIds: [],
    minGpuRamMb: null,
  };
  for (let diskGb = 100; diskGb < 160; diskGb++)
    expect((await account.browseOffers({ ...plain, diskGb })).ok).toBe(true);
  const before = vast.count("search");
  await account.browseOffers({ ...plain, diskGb: 159 });
  expect(vast.count("search")).toBe(before);
  await account.browseOffers({ ...plain, diskGb: 100 });
  expect(vast.count("search")).toBe(before + 1);
});
