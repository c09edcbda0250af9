/**
 * The gate: where every pipe to a machine ends. It listens on the machine's 127.0.0.1 alone, takes HTTP/1.1 and WebSockets,
 * and passes on what came with a token of the control plane.
 */
import * as z from "zod";

/** direct: whoever reaches 127.0.0.1 there; relay: the agent's own WebSocket; tunnel: `cloudflared`. */
export const pipeKinds = ["direct", "relay", "tunnel"] as const;
export type PipeKind = (typeof pipeKinds)[number];

export const gateHeaders = {
  /** The token: a JWT (HS256) of `gateClaimsSchema`, signed with the key of this instance and epoch. Taken off before the service. */
  token: "x-soneca-gate",
  /** On what the gate itself answers, never on what a service answered: one of `gateErrors`. */
  error: "x-soneca-gate-error",
  /** On what a pipe itself answers: one of `pipeErrors`. */
  pipe: "x-soneca-pipe-error",
} as const;

/** What a head may have on the machine, both ways; by itself node takes a quarter of it. */
export const gateHeadBytes = 64 * 1024;

export const gateErrors = [
  /** No token, or none for this machine at this moment. */
  "refused",
  /** Nothing listens on the service's port. */
  "no_service",
  /** The service took the request and broke off before its answer began. */
  "service_broke",
  /** Everything on the machine stands still, for the last look before it goes. */
  "sealed",
] as const;
export type GateError = (typeof gateErrors)[number];

export const pipeErrors = [
  /** The machine has no pipe open. */
  "closed",
  /** It broke before the answer began; the machine may have had the request. */
  "broken",
  /** It is whole, and waits no longer for this answer; the machine had the request. */
  "late",
  /** It is whole, and carries as many requests as it can; the machine had nothing of this one. */
  "full",
] as const;
export type PipeError = (typeof pipeErrors)[number];

export const gateIssuer = "soneca";
export const gateAudience = "soneca-gate";
/** No token is good for longer. */
export const gateTokenLifeMs = 60_000;

export const gateClaimsSchema = z.object({
  /** The instance. */
  sub: z.string(),
  epoch: z.number().int().min(1),
  /** Of the service; null: for the gate's own paths alone. */
  port: z.number().int().min(1).max(65_535).nullable(),
  /** Passed on, and no sign of use: a health check, a robot. */
  quiet: z.boolean().optional(),
});
export type GateClaims = z.infer<typeof gateClaimsSchema>;

/** Paths of the gate itself, with a token whose port is null. `http` answers "ok", `events` two events, `socket` echoes. */
export const gatePaths = {
  nudge: "/_soneca/nudge",
  /** `?port=N`: 204 where something listens there, else `no_service`. */
  listens: "/_soneca/listens",
  http: "/_soneca/probe/http",
  events: "/_soneca/probe/events",
  socket: "/_soneca/probe/socket",
} as const;
