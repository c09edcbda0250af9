/** The read model in D1: the plan's two tables and columns, plus what the product needs. The objects are the truth. */
import { sql } from "drizzle-orm";
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

export const users = sqliteTable("users", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  createdAt: text("created_at").notNull(),
  /** By which Cloudflare Access knows them, in small letters; null for users with tokens alone. */
  email: text("email").unique(),
  /** Grows with each change of the team's policies. */
  policyVersion: integer("policy_version").notNull().default(0),
  /** The team that they were taken into; null: they have a team of their own, which has their id. */
  homeTeam: text("home_team"),
});

/** Who is in the team of another. Whoever a team began with has no row: they own it. */
export const members = sqliteTable(
  "members",
  {
    teamId: text("team_id")
      .notNull()
      .references(() => users.id),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    role: text("role").notNull(),
    /** As the team calls them. */
    name: text("name").notNull(),
    createdAt: text("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.teamId, table.userId] }), index("idx_members_user").on(table.userId)],
);

/** What a user sets for all of its instances (`gpuKey` empty) or for those of one GPU type. */
export const policies = sqliteTable(
  "policies",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    gpuKey: text("gpu_key").notNull(),
    /** As the user spells it. */
    gpuType: text("gpu_type", { length: 100 }).notNull(),
    /** A part of `auto_hibernation`, JSON. */
    settings: text("settings").notNull(),
    updatedAt: text("updated_at").notNull(),
  },
  (table) => [uniqueIndex("idx_policies").on(table.userId, table.gpuKey)],
);

export const apiTokens = sqliteTable(
  "api_tokens",
  {
    id: text("id").primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    name: text("name").notNull(),
    /** SHA-256 of the token, hex: the token itself is shown once and kept nowhere. */
    hash: text("hash").notNull().unique(),
    createdAt: text("created_at").notNull(),
    expiresAt: text("expires_at"),
    /** The team that it asks for; null in rows of before: its user's own. */
    teamId: text("team_id"),
    /** The most that it may do; null: whatever its user may. */
    role: text("role"),
    /** The only instances that it reaches, JSON; null: all of the team. */
    instances: text("instances"),
    /** To within some minutes. */
    lastUsedAt: text("last_used_at"),
  },
  (table) => [index("idx_api_tokens_user").on(table.userId)],
);

/** A team's own key to the provider. Machines are rented with the one that is not retired. */
export const providerKeys = sqliteTable(
  "provider_keys",
  {
    /** Names the object that asks the provider with it. */
    account: text("account").primaryKey(),
    teamId: text("team_id")
      .notNull()
      .references(() => users.id),
    /** The key itself, for `provider_key:<account>`. */
    sealed: text("sealed").notNull(),
    /** Its last letters, for people. */
    hint: text("hint").notNull(),
    createdAt: text("created_at").notNull(),
    /** When the provider last answered to it, to within some minutes. */
    lastUsedAt: text("last_used_at"),
    /** What the provider said when it last refused it; null since it took it again. */
    trouble: text("trouble"),
    troubleAt: text("trouble_at"),
    /** No machine is rented with it any more; the row goes when none is left. */
    retiredAt: text("retired_at"),
  },
  (table) => [uniqueIndex("idx_provider_keys_team").on(table.teamId).where(sql`${table.retiredAt} IS NULL`)],
);

/** Who asked for which change, and what came of it. */
export const auditLog = sqliteTable(
  "audit_log",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    /** Null: of the deployment itself. */
    teamId: text("team_id"),
    at: text("at").notNull(),
    /** `user:<id>`, `admin`. */
    actor: text("actor").notNull(),
    tokenId: text("token_id"),
    role: text("role"),
    /** The operation, as /api/openapi.json calls it. */
    route: text("route").notNull(),
    instanceId: text("instance_id"),
    /** Of what else it was: the token, the member, the key. */
    target: text("target"),
    status: integer("status").notNull(),
    /** The code of the error; null: it was done. */
    code: text("code"),
    requestId: text("request_id").notNull(),
    origin: text("origin").notNull(),
  },
  (table) => [index("idx_audit_log_team").on(table.teamId, table.id)],
);

export const proxyKeys = sqliteTable(
  "proxy_keys",
  {
    id: text("id").primaryKey(),
    instanceId: text("instance_id", { length: 100 }).notNull(),
    name: text("name").notNull(),
    /** SHA-256 of the key, hex. */
    hash: text("hash").notNull().unique(),
    wakesPerHour: integer("wakes_per_hour"),
    createdAt: text("created_at").notNull(),
    expiresAt: text("expires_at"),
  },
  (table) => [index("idx_proxy_keys_instance").on(table.instanceId)],
);

export const instanceStatus = sqliteTable(
  "instance_status",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    instanceId: text("instance_id", { length: 100 }).notNull().unique(),
    userId: text("user_id", { length: 100 }).notNull(),

    status: text("status", { length: 50 }).notNull(),
    gpuUtilization: real("gpu_utilization"),
    lastActivity: text("last_activity"),

    idleSince: text("idle_since"),
    hibernatedAt: text("hibernated_at"),
    snapshotId: text("snapshot_id", { length: 200 }),

    autoHibernationEnabled: integer("auto_hibernation_enabled", { mode: "boolean" }).default(true),
    pauseAfterMinutes: real("pause_after_minutes").default(3),
    deleteAfterMinutes: real("delete_after_minutes").default(30),

    vastInstanceId: integer("vast_instance_id"),
    gpuType: text("gpu_type", { length: 100 }),
    region: text("region", { length: 100 }),

    createdAt: text("created_at").notNull(),
    updatedAt: text("updated_at").notNull(),

    name: text("name").notNull(),
    /** The exact state, where `status` is the plan's word. */
    state: text("state").notNull(),
    microUsdPerHour: integer("micro_usd_per_hour"),
    /** What would come back if its machine vanished is as of this moment; null where no machine works. */
    recoveryPointAt: text("recovery_point_at"),
    /** Version of the object's state that this row shows: an older write never replaces a newer one. */
    version: integer("version").notNull(),
    /** What a list shows beside these columns, JSON; null in rows of before. */
    glance: text("glance"),
    /** Of its owner's policies: which ones it knows. */
    policyVersion: integer("policy_version").notNull().default(0),
    /** The provider account that its machine is rented with; null: the deployment's. */
    providerAccount: text("provider_account"),
    /** When the object wants to look at itself, epoch ms; the cron sweep pokes those that are late. */
    dueAt: integer("due_at"),

    /** For metrics, all of them null in rows of before: machines that cost now, their price, and those without a known one. */
    machines: integer("machines"),
    burnMicroUsdPerHour: integer("burn_micro_usd_per_hour"),
    unpricedMachines: integer("unpriced_machines"),
    /** Since it was made; they never shrink. */
    machineMicroUsd: integer("machine_micro_usd"),
    trafficMicroUsd: integer("traffic_micro_usd"),
    storageMicroUsd: integer("storage_micro_usd"),
    avoidedMicroUsd: integer("avoided_micro_usd"),
    /** What the store holds of it. */
    storedBytes: integer("stored_bytes"),
    lastReportAt: text("last_report_at"),
    /** How far the agent's clock is ahead of the worker's, as its last report said; the way here is in it. */
    clockSkewMs: integer("clock_skew_ms"),
    troubleCode: text("trouble_code"),
  },
  (table) => [
    index("idx_instance_status").on(table.instanceId),
    index("idx_user_status").on(table.userId, table.status),
    index("idx_instance_due").on(table.dueAt),
  ],
);

export const hibernationEvents = sqliteTable(
  "hibernation_events",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    instanceId: text("instance_id", { length: 100 })
      .notNull()
      .references(() => instanceStatus.instanceId),
    eventType: text("event_type", { length: 50 }).notNull(),
    timestamp: text("timestamp").notNull(),

    gpuUtilization: real("gpu_utilization"),
    snapshotId: text("snapshot_id", { length: 200 }),
    reason: text("reason", { length: 500 }),

    /** Position in the object's own log: makes a repeated write harmless. */
    seq: integer("seq").notNull(),
    actor: text("actor").notNull(),
    params: text("params").notNull(),
  },
  (table) => [
    index("idx_hibernation_events").on(table.instanceId, table.timestamp),
    uniqueIndex("idx_hibernation_events_seq").on(table.instanceId, table.seq),
  ],
);

/** Where a user is told what happens. */
export const channels = sqliteTable(
  "channels",
  {
    id: text("id").primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    kind: text("kind", { length: 20 }).notNull(),
    name: text("name").notNull(),
    language: text("language", { length: 10 }).notNull(),
    /** JSON: names of groups. */
    groups: text("groups").notNull(),
    /** JSON: ids; null for all. */
    instances: text("instances"),
    buttons: integer("buttons", { mode: "boolean" }).notNull(),
    /** What is shown of the address. */
    target: text("target").notNull(),
    hasToken: integer("has_token", { mode: "boolean" }).notNull(),
    /** Address and secrets, sealed for `channel:<id>`. */
    sealed: text("sealed").notNull(),
    /** Null: it is told. */
    off: text("off", { length: 20 }),
    /** Epoch ms: what happened before is not told. */
    createdAt: integer("created_at").notNull(),
  },
  (table) => [index("idx_channels_user").on(table.userId)],
);

/** A notice on its way to a channel, and afterwards the log of it. */
export const deliveries = sqliteTable(
  "deliveries",
  {
    /** Made of channel, instance and number of the event: a repeated write is harmless. */
    id: text("id").primaryKey(),
    channelId: text("channel_id").notNull(),
    userId: text("user_id", { length: 100 }).notNull(),
    /** JSON: what is told, before it has words. */
    notice: text("notice").notNull(),
    /** Epoch ms, as all times here. */
    createdAt: integer("created_at").notNull(),
    state: text("state", { length: 20 }).notNull(),
    tries: integer("tries").notNull().default(0),
    lastTryAt: integer("last_try_at"),
    /** Null once it is over. */
    nextTryAt: integer("next_try_at"),
    status: integer("status"),
    code: text("code", { length: 20 }),
    answer: text("answer"),
    tookMs: integer("took_ms"),
  },
  (table) => [
    index("idx_deliveries_channel").on(table.channelId, table.createdAt),
    // What is over leaves it, so it stays small.
    index("idx_deliveries_due").on(table.userId, table.nextTryAt).where(sql`next_try_at IS NOT NULL`),
  ],
);

/** Buttons of notices that were pressed: each can be once. */
export const pressed = sqliteTable("pressed", {
  id: text("id").primaryKey(),
  /** When it would have ended by itself, epoch ms. */
  expiresAt: integer("expires_at").notNull(),
});

/** Counts for metrics that no row holds: they only grow. */
export const counters = sqliteTable(
  "counters",
  {
    name: text("name").notNull(),
    label: text("label").notNull(),
    value: integer("value").notNull(),
  },
  (table) => [primaryKey({ columns: [table.name, table.label] })],
);

/** When each of the cron's duties last came to its end. */
export const cronRuns = sqliteTable("cron_runs", {
  duty: text("duty").primaryKey(),
  at: text("at").notNull(),
});
