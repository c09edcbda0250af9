import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMeter, endMeter, readMeter, turnMeter } from "./bill.ts";
import { buildCatalog } from "./catalog.ts";
import { TestStandIn, waitFor } from "./testing/stand-in.ts";

const T0 = Date.UTC(2026, 10, 24);
const offer = { ...buildCatalog()[0]!, inetUpCost: 0.004, inetDownCost: 0.002 };
const open = (dph = 0.36) => ({
  id: 1,
  label: "x",
  meter: createMeter(offer, { state: "stopped", dph, diskGb: 73, at: T0 }),
});

describe("a meter", () => {
  it("adds whole seconds of touching intervals, so that nothing is lost between them", () => {
    const row = open();
    // 0.4 s each: rounded one by one they would all be nothing.
    for (let n = 1; n <= 10; n++) turnMeter(row.meter, n % 2 ? "running" : "stopped", T0 + n * 400);
    endMeter(row.meter, T0 + 4400);
    const read = readMeter(row, T0 + 99_000);
    expect(read.intervals.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(4);
    expect(read.intervals.map(({ from, to }) => [from, to])).toEqual(
      Array.from({ length: 11 }, (_, n) => [T0 + n * 400, T0 + (n + 1) * 400]),
    );
    expect([read.diskSeconds, read.endedAt]).toEqual([4, T0 + 4400]);
  });

  it("charges by state: disk always but offline, the GPU while it runs, traffic by the GB", () => {
    const row = open();
    turnMeter(row.meter, "running", T0 + 3_600_000);
    turnMeter(row.meter, "offline", T0 + 2 * 3_600_000);
    turnMeter(row.meter, "running", T0 + 5 * 3_600_000);
    Object.assign(row.meter, { upBytes: 2e9, downBytes: 500e6 });
    const read = readMeter(row, T0 + 6 * 3_600_000);
    const disk = Math.round((offer.storageCost * 73 * 1e6) / 730);
    expect(read.intervals.map(({ state, seconds, microUsd }) => [state, seconds, microUsd])).toEqual([
      ["stopped", 3600, disk],
      ["running", 3600, disk + 360_000],
      ["offline", 10_800, 0],
      ["running", 3600, disk + 360_000],
    ]);
    expect(read).toMatchObject({ gpuSeconds: 7200, diskSeconds: 10_800, endedAt: null });
    expect(read.traffic).toEqual({ upBytes: 2e9, downBytes: 500e6, microUsd: 9000 });
    expect(read.microUsd).toBe(3 * disk + 720_000 + 9000);
    expect(read.usd).toBe(read.microUsd / 1e6);
  });

  it("is not fooled by a clock that goes back, nor by an end that comes twice", () => {
    const row = open();
    turnMeter(row.meter, "running", T0 + 1000);
    turnMeter(row.meter, "stopped", T0 - 5000);
    endMeter(row.meter, T0 + 4000);
    endMeter(row.meter, T0 + 9000);
    turnMeter(row.meter, "running", T0 + 9000);
    const read = readMeter(row, T0 + 10_000);
    expect(read.intervals.map(({ state, from, to }) => [state, from - T0, to! - T0])).toEqual([
      ["stopped", 0, 1000],
      ["stopped", 1000, 4000],
    ]);
  });
});

describe("the bill", () => {
  let standIn: TestStandIn;
  beforeEach(async () => {
    standIn = await TestStandIn.open();
  });
  afterEach(() => standIn.close());

  it("charges the GPU while it runs and the disk from creation to the end", async () => {
    let now = T0;
    await standIn.reopen({ bootMs: 50, now: () => now });
    const { id } = await standIn.create();
    await waitFor(() => existsSync(join(standIn.stateDir, "machines", String(id), "log")));
    now += 3_600_000;
    const [live] = await standIn.bill();
    expect(live).toMatchObject({ id, label: "soneca:i-k3v7q2m4xa:9", endedAt: null, gpuSeconds: 3600 });
    expect(live!.diskSeconds).toBe(3600);
    expect(live!.usd).toBeCloseTo(live!.dph + live!.diskDph, 5);
    await standIn.ask("PUT", `/api/v0/instances/${id}/`, { state: "stopped" });
    now += 7_200_000;
    await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    await standIn.absent(id);
    now += 7_200_000;
    const [done] = await standIn.bill();
    expect(done).toMatchObject({ gpuSeconds: 3600, diskSeconds: 10_800, endedAt: Date.UTC(2026, 10, 24, 3) });
    expect(done!.intervals.map(({ state, seconds }) => [state, seconds])).toEqual([
      ["running", 3600],
      ["stopped", 7200],
    ]);
    expect(done!.usd).toBeCloseTo(done!.dph + 3 * done!.diskDph, 5);
  });

  it("and the contracts survive a restart", async () => {
    const gone = await standIn.create();
    await standIn.ask("DELETE", `/api/v0/instances/${gone.id}/`, {});
    await standIn.absent(gone.id);
    const kept = await standIn.create();
    await standIn.running(kept.id);
    await standIn.reopen();
    expect((await standIn.bill()).map(({ id, endedAt }) => [id, endedAt !== null])).toEqual([
      [gone.id, true],
      [kept.id, false],
    ]);
    await standIn.running(kept.id);
    const [, row] = await standIn.bill();
    // Nothing ran while nobody was there to run it.
    expect(row!.intervals.map(({ state }) => state)).toEqual(["loading", "running", "stopped", "running"]);
    expect((await standIn.create()).id).toBeGreaterThan(kept.id);
  });

  it("can be written by nobody", async () => {
    const { id } = await standIn.create();
    const before = await standIn.bill();
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      for (const path of ["/local/bill", `/local/bill/${id}`]) {
        expect((await standIn.ask(method, path, { bill: [], intervals: [] })).status).toBe(405);
      }
    }
    expect((await standIn.bill())[0]).toMatchObject({ id, startedAt: before[0]!.startedAt });
  });
});
