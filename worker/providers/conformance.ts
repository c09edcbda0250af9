/**
 * What any adapter of the Provider port must do. It rents and destroys for real: give it a stand-in, or an account whose
 * bill you accept. Faults are asked for only where the context can make them.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CreateRequest, Offer, OfferQuery, Provider, ProviderFailure, RentedMachine } from "./provider.ts";

/** Failures of the other side, in the port's words; each strikes as often as it is asked for. */
export type ProviderFault =
  | "key_revoked"
  | "rate_limited"
  | "offer_taken"
  | "no_credit"
  | "create_lost"
  | "create_leaves_stray"
  | "list_broken"
  | "list_short"
  | "destroy_broken"
  | "start_queued"
  | "boot_fails_by_host"
  | "boot_fails_by_image";

export interface ConformanceContext {
  provider: Provider;
  /** The same provider with a key that is not valid. */
  withWrongKey: Provider;
  /** A query that finds at least three cheap offers. */
  query: OfferQuery;
  image: string;
  onstart: string;
  /** Longest wait for a boot. */
  bootTimeoutMs: number;
  /** Arms a fault; undefined where the other side cannot be made to fail. */
  fault?: (name: ProviderFault, times: number) => Promise<void>;
  clearFaults?: () => Promise<void>;
  /** More machines than one page of a list, where renting so many is cheap. */
  manyMachines?: number;
  close: () => Promise<void>;
}

const LABEL = "soneca-conformance";

export function providerConformance(name: string, makeContext: () => Promise<ConformanceContext>): void {
  describe(`${name} is a Provider`, () => {
    let context: ConformanceContext;
    let counter = 0;

    beforeAll(async () => {
      context = await makeContext();
    });
    afterAll(async () => {
      const left = await context.provider.listMachines();
      if (left.ok) {
        const ours = left.machines.filter(({ label }) => label?.startsWith(LABEL));
        await Promise.all(ours.map(({ id }) => context.provider.destroyMachine(id)));
      }
      await context.close();
    });

    const findOffers = async (change: Partial<OfferQuery> = {}): Promise<Offer[]> => {
      const answer = await context.provider.searchOffers({ ...context.query, ...change });
      if (!answer.ok) throw new Error(`search: ${answer.code} ${answer.message}`);
      return answer.offers;
    };
    const buildRequest = async (): Promise<CreateRequest> => {
      const [offer] = await findOffers();
      const { image, onstart, query } = context;
      const env = { SONECA_TOKEN: "a-secret-of-the-machine" };
      return { offerId: offer!.id, label: `${LABEL}:${++counter}`, image, diskGb: query.diskGb, env, onstart };
    };
    const rent = async (): Promise<{ id: number; request: CreateRequest }> => {
      const request = await buildRequest();
      const answer = await context.provider.createMachine(request);
      if (!answer.ok) throw new Error(`create: ${answer.code} ${answer.message}`);
      return { id: answer.id, request };
    };
    const list = async (): Promise<RentedMachine[]> => {
      const answer = await context.provider.listMachines();
      if (!answer.ok) throw new Error(`list: ${answer.code} ${answer.message}`);
      return answer.machines;
    };
    const find = async (id: number) => (await list()).find((machine) => machine.id === id);
    const waitFor = async (id: number, accept: (machine: RentedMachine | undefined) => boolean) => {
      const until = Date.now() + context.bootTimeoutMs;
      for (;;) {
        const machine = await find(id);
        if (accept(machine)) return machine;
        if (Date.now() > until)
          throw new Error(`machine ${id} stays ${machine?.phase ?? "absent"} (${machine?.rawStatus})`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const destroy = async (id: number) => {
      await context.provider.destroyMachine(id);
      await waitFor(id, (machine) => machine === undefined);
    };

    describe("offers", () => {
      it("all satisfy the query, cheapest first, at most 64", async () => {
        const offers = await findOffers();
        expect(offers.length).toBeGreaterThanOrEqual(3);
        expect(offers.length).toBeLessThanOrEqual(64);
        const prices = offers.map((offer) => offer.microUsdPerHour);
        expect(prices).toEqual([...prices].sort((a, b) => a - b));
        for (const offer of offers) {
          expect(offer.gpuCount).toBe(context.query.gpuCount);
          expect(Number.isInteger(offer.microUsdPerHour)).toBe(true);
          expect(offer.region).toMatch(/^[A-Z]{2}$/);
          expect(offer.verified).toBe(true);
        }
      });

      it("are narrowed by type, region, price and hosts to avoid", async () => {
        const [cheapest, second] = await findOffers();
        const byType = await findOffers({ gpuType: cheapest!.gpuType });
        expect(new Set(byType.map((offer) => offer.gpuType))).toEqual(new Set([cheapest!.gpuType]));
        const byRegion = await findOffers({ region: cheapest!.region });
        expect(new Set(byRegion.map((offer) => offer.region))).toEqual(new Set([cheapest!.region]));
        const byPrice = await findOffers({ maxMicroUsdPerHour: second!.microUsdPerHour });
        expect(byPrice.every((offer) => offer.microUsdPerHour <= second!.microUsdPerHour)).toBe(true);
        const avoiding = await findOffers({ avoidMachineIds: [cheapest!.machineId] });
        expect(avoiding.some((offer) => offer.machineId === cheapest!.machineId)).toBe(false);
      });

      it("cost more with a larger disk", async () => {
        const [offer] = await findOffers();
        const larger = (await findOffers({ diskGb: context.query.diskGb * 4 })).find(({ id }) => id === offer!.id);
        if (larger) expect(larger.microUsdPerHour).toBeGreaterThan(offer!.microUsdPerHour);
      });

      it("that do not exist are an empty list, not a failure", async () => {
        expect(await findOffers({ gpuType: "No Such GPU 9" })).toEqual([]);
      });
    });

    describe("a machine", () => {
      it("is rented under its label, boots, stops, starts, and is gone after destroy", {
        timeout: 600_000,
      }, async () => {
        const { id, request } = await rent();
        const fresh = await waitFor(id, (machine) => machine !== undefined);
        expect(fresh).toMatchObject({ label: request.label, gpuCount: context.query.gpuCount, fatal: null });
        expect(["loading", "running"]).toContain(fresh!.phase);
        expect((await findOffers()).some((offer) => offer.id === request.offerId)).toBe(false);

        const running = await waitFor(id, (machine) => machine?.phase === "running");
        expect(running!.microUsdPerHour).toBeGreaterThan(0);
        expect(running).toMatchObject({ image: request.image, diskGb: request.diskGb });
        expect(Math.abs(Date.now() - running!.startedAt!)).toBeLessThan(context.bootTimeoutMs + 3_600_000);

        expect(await context.provider.setLabel(id, `${LABEL}:renamed`)).toEqual({ ok: true });
        expect(await context.provider.setLabel(id, `${LABEL}:renamed`)).toEqual({ ok: true });
        expect((await find(id))!.label).toBe(`${LABEL}:renamed`);

        expect(await context.provider.stopMachine(id)).toEqual({ ok: true });
        await waitFor(id, (machine) => machine?.phase === "stopped");
        expect(await context.provider.startMachine(id)).toEqual({ ok: true, queued: false });
        await waitFor(id, (machine) => machine?.phase === "running");

        expect(await context.provider.destroyMachine(id)).toMatchObject({ ok: true });
        await waitFor(id, (machine) => machine === undefined);
        expect(await context.provider.destroyMachine(id)).toEqual({ ok: true, gone: true });
      });

      it("cannot be rented twice from one offer", async () => {
        const { id, request } = await rent();
        const again = await context.provider.createMachine({ ...request, label: `${LABEL}:twice` });
        expect(again).toMatchObject({ ok: false, code: "offer_gone", retryable: false });
        await destroy(id);
      });

      it("is not made from a request that can never work", async () => {
        const request = await buildRequest();
        const tooLong = await context.provider.createMachine({ ...request, onstart: "x".repeat(5000) });
        expect(tooLong).toMatchObject({ ok: false, code: "provider_refused", retryable: false });
        const tooSmall = await context.provider.createMachine({ ...request, diskGb: 1 });
        expect(tooSmall).toMatchObject({ ok: false, code: "provider_refused" });
        expect((await list()).some(({ label }) => label === request.label)).toBe(false);
      });
    });

    it("never reads a wrong key as an absence", async () => {
      const wrong = context.withWrongKey;
      const request = await buildRequest();
      const answers = [
        await wrong.listMachines(),
        await wrong.destroyMachine(999_999_999),
        await wrong.setLabel(999_999_999, "x"),
        await wrong.stopMachine(999_999_999),
        await wrong.startMachine(999_999_999),
        await wrong.createMachine(request),
      ];
      for (const answer of answers)
        expect(answer).toMatchObject({ ok: false, code: "provider_auth", retryable: false });
    });

    it("lists every machine, however many pages", { timeout: 120_000 }, async ({ skip }) => {
      const many = context.manyMachines;
      if (many === undefined) return skip();
      const offers = await findOffers({ gpuType: null });
      expect(offers.length).toBeGreaterThanOrEqual(many);
      const request = await buildRequest();
      const ids: number[] = [];
      for (const [index, offer] of offers.slice(0, many).entries()) {
        const answer = await context.provider.createMachine({
          ...request,
          offerId: offer.id,
          label: `${LABEL}:many:${index}`,
        });
        if (answer.ok) ids.push(answer.id);
      }
      expect(ids.length).toBe(many);
      expect((await list()).map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
      await Promise.all(ids.map(destroy));
    });

    describe("when the other side fails", () => {
      const withFault = async (fault: ProviderFault, times: number, act: () => Promise<void>, skip: () => void) => {
        if (!context.fault) return skip();
        await context.fault(fault, times);
        try {
          await act();
        } finally {
          await context.clearFaults?.();
        }
      };
      const itWith = (fault: ProviderFault, times: number, does: string, act: () => Promise<void>) =>
        it(does, { timeout: 60_000 }, ({ skip }) => withFault(fault, times, act, skip));

      itWith("key_revoked", 1, "a revoked key is provider_auth on destroy, not gone", async () => {
        expect(await context.provider.destroyMachine(123)).toMatchObject({ ok: false, code: "provider_auth" });
      });

      itWith("rate_limited", 3, "too many requests say when to ask again, in each of their shapes", async () => {
        for (let i = 0; i < 3; i++) {
          const answer = (await context.provider.listMachines()) as ProviderFailure;
          expect(answer).toMatchObject({ ok: false, code: "provider_rate_limited", retryable: true });
          expect(answer.retryAfterMs).toBeGreaterThan(0);
        }
      });

      itWith("offer_taken", 3, "a taken offer is offer_gone, in each of its shapes", async () => {
        const request = await buildRequest();
        for (let i = 0; i < 3; i++) {
          expect(await context.provider.createMachine(request)).toMatchObject({ ok: false, code: "offer_gone" });
        }
      });

      itWith("no_credit", 1, "no credit is its own code", async () => {
        const answer = await context.provider.createMachine(await buildRequest());
        expect(answer).toMatchObject({ ok: false, code: "provider_no_credit", retryable: false });
      });

      itWith(
        "create_lost",
        1,
        "a lost answer to a create is provider_unavailable, sent once, and the label finds it",
        async () => {
          const request = await buildRequest();
          expect(await context.provider.createMachine(request)).toMatchObject({
            ok: false,
            code: "provider_unavailable",
          });
          const found = (await list()).filter(({ label }) => label === request.label);
          expect(found.length).toBe(1);
          await destroy(found[0]!.id);
        },
      );

      itWith("create_leaves_stray", 1, "a failed create names the machine that it left", async () => {
        const answer = await context.provider.createMachine(await buildRequest());
        expect(answer).toMatchObject({ ok: false, strayId: expect.any(Number) });
        await destroy((answer as { strayId: number }).strayId);
      });

      for (const kind of ["list_broken", "list_short"] as const) {
        itWith(kind, 100, `a list that is ${kind.slice(5)} is a failure, never empty`, async () => {
          const { id } = await rent();
          for (let i = 0; i < 3; i++) {
            expect(await context.provider.listMachines()).toMatchObject({ ok: false, code: "provider_unavailable" });
          }
          await context.clearFaults?.();
          await destroy(id);
        });
      }

      itWith("destroy_broken", 100, "a destroy that fails is a failure, and the machine is still listed", async () => {
        const { id } = await rent();
        expect(await context.provider.destroyMachine(id)).toMatchObject({ ok: false, code: "provider_unavailable" });
        expect(await find(id)).toBeDefined();
        await context.clearFaults?.();
        await destroy(id);
      });

      itWith("start_queued", 1, "a start without a GPU says that it is queued, and stop calls it off", async () => {
        const { id } = await rent();
        await waitFor(id, (machine) => machine?.phase === "running");
        await context.provider.stopMachine(id);
        await waitFor(id, (machine) => machine?.phase === "stopped");
        expect(await context.provider.startMachine(id)).toEqual({ ok: true, queued: true });
        expect((await find(id))!.phase).toBe("queued");
        await context.provider.stopMachine(id);
        expect((await find(id))!.phase).toBe("stopped");
        await destroy(id);
      });

      for (const cause of ["host", "image"] as const) {
        itWith(`boot_fails_by_${cause}`, 1, `a boot that the ${cause} dooms is told apart`, async () => {
          const { id } = await rent();
          const doomed = await waitFor(id, (machine) => machine?.fatal != null);
          expect(doomed!.fatal).toBe(cause);
          await destroy(id);
        });
      }
    });
  });
}
