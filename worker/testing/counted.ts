/**
 * The worker as it is deployed, with everything counted that Cloudflare bills. For the bench alone: it also lets instances
 * be born whose machines nobody rented.
 */
import type { InstanceId, UserId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import worker, {
  NoticesObject,
  AccountObject as RealAccount,
  InstanceObject as RealInstance,
  RelayObject,
  SelfTestObject,
} from "../index.ts";

export { NoticesObject, RelayObject, SelfTestObject };

export interface UsageCounts {
  requests: number;
  objectRequests: number;
  alarms: number;
  /** A moved alarm is billed as a row. */
  rowsWritten: number;
  rowsRead: number;
  d1RowsWritten: number;
  d1RowsRead: number;
  /** Rows written by the first words of the statement. */
  rowsBy: Record<string, number>;
  /** Of each heartbeat, from the worker's call of the object to its answer, ms. */
  beatMs: number[];
}

const none = (): UsageCounts => ({
  requests: 0,
  objectRequests: 0,
  alarms: 0,
  rowsWritten: 0,
  rowsRead: 0,
  d1RowsWritten: 0,
  d1RowsRead: 0,
  rowsBy: {},
  beatMs: [],
});
/** Worker and objects run in one isolate here. */
let counts = none();

export class InstanceObject extends RealInstance {
  constructor(ctx: DurableObjectState, env: Env) {
    super(countedState(ctx), { ...env, DB: countedDatabase(env.DB) });
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    counts.alarms++;
    counts.objectRequests++;
    await super.alarm(info);
  }
}

/** Nobody rented the machines: a provider that was asked would say that they are gone. */
export class AccountObject extends RealAccount {
  override async listMachines(): ReturnType<RealAccount["listMachines"]> {
    return { ok: false, code: "provider_unavailable", message: "there is no provider here", retryable: true };
  }
}

export interface BirthRequest {
  instances: string[];
  owner: string;
  intervalSeconds: number;
}

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/bench/counts") {
      const answer = Response.json(counts);
      if (request.method === "DELETE") counts = none();
      return answer;
    }
    if (pathname === "/bench/births") return giveBirth(await request.json<BirthRequest>(), env);
    counts.requests++;
    return worker.fetch!(request, { ...env, DB: countedDatabase(env.DB), INSTANCE: timedObjects(env.INSTANCE) }, ctx);
  },
} satisfies ExportedHandler<Env>;

/** Adopted machines that no provider has: running from their agent's first word on. */
async function giveBirth({ instances, owner, intervalSeconds }: BirthRequest, env: Env): Promise<Response> {
  const { applyPatch, defaultAutoHibernation } = await import("../../core/protocol/config.ts");
  const config = applyPatch(defaultAutoHibernation, { check_interval_seconds: intervalSeconds, grace_minutes: 0 });
  const spec = { gpuType: "RTX 4090", gpuCount: 1, region: "BR", diskGb: 50, image: "-", maxMicroUsdPerHour: null };
  await Promise.all(
    instances.map(async (id, i) => {
      const facts = {
        providerId: 1 + i,
        machineId: 1 + i,
        gpuType: spec.gpuType,
        gpuCount: 1,
        region: spec.region,
        microUsdPerHour: 400_000,
        sshHost: null,
        sshPort: null,
      };
      const birth = { instance: id as InstanceId, owner: owner as UserId, name: id, spec, config };
      const object = env.INSTANCE.getByName(id);
      await object.adopt(birth, facts, Date.now());
      // Its agent's first word comes at once: of a thousand the last one has its first turn a while later.
      await object.beat(1, Date.now(), { instance_id: id });
    }),
  );
  return new Response(null, { status: 204 });
}

/** The same object with some of its methods replaced; the others are called on the object itself. */
function replaced<T extends object>(target: T, methods: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get(of, name) {
      if (Object.hasOwn(methods, name)) return methods[name as keyof T];
      const value = Reflect.get(of, name, of);
      // Not `bind`: of a stub's method that would be one more method, of the object on the other side.
      return typeof value === "function" ? (...args: unknown[]) => Reflect.apply(value, of, args) : value;
    },
  });
}

function written(statement: string, rows: number): void {
  if (rows === 0) return;
  const name = statement.trim().split(/\s+/).slice(0, 3).join(" ");
  counts.rowsWritten += rows;
  counts.rowsBy[name] = (counts.rowsBy[name] ?? 0) + rows;
}

/** In place: the runtime takes nothing for an object's state but its own. */
function countedState(ctx: DurableObjectState): DurableObjectState {
  const { sql } = ctx.storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    // The local cloud's own note of an object's name, at each of its starts.
    if (query.includes("__miniflare_")) return exec(query, ...bindings);
    const cursor = exec(query, ...bindings);
    // What was read is known when all of it was.
    const rows = cursor.toArray();
    written(query, cursor.rowsWritten);
    counts.rowsRead += cursor.rowsRead;
    return { toArray: () => rows, one: () => rows[0] };
  }) as typeof sql.exec;
  const setAlarm = ctx.storage.setAlarm.bind(ctx.storage);
  ctx.storage.setAlarm = (at) => {
    written("setAlarm", 1);
    return setAlarm(at);
  };
  return ctx;
}

function countedDatabase(db: D1Database): D1Database {
  const counted = <R extends { meta: { rows_written?: number; rows_read?: number } }>(result: R): R => {
    counts.d1RowsWritten += result.meta.rows_written ?? 0;
    counts.d1RowsRead += result.meta.rows_read ?? 0;
    return result;
  };
  const statement = (of: D1PreparedStatement): D1PreparedStatement =>
    replaced(of, {
      bind: (...values: unknown[]) => statement(of.bind(...values)),
      run: async () => counted(await of.run()),
      all: async () => counted(await of.all()),
      // Without `meta` of its own: the same rows, asked for with it.
      raw: async () => counted(await of.all<Record<string, unknown>>()).results.map((row) => Object.values(row)),
    });
  return replaced(db, { prepare: (query: string) => statement(db.prepare(query)) });
}

function timedObjects(objects: Env["INSTANCE"]): Env["INSTANCE"] {
  return replaced(objects, {
    getByName(name: string) {
      const stub = objects.getByName(name);
      return replaced(
        stub as object,
        {
          async beat(...report: Parameters<RealInstance["beat"]>) {
            counts.objectRequests++;
            const began = Date.now();
            const answer = await stub.beat(...report);
            counts.beatMs.push(Date.now() - began);
            return answer;
          },
        } as never,
      );
    },
  });
}
