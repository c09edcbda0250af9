/** The agent of a simulated machine: samples, uploads that go on where they were called off, seals, restores. */
import { defaultSignalRules } from "../../protocol/signals.ts";
import type { Command, Result, Seal, SnapshotRef } from "../../protocol/wire.ts";
import { compactSamples, type Sample } from "../idle.ts";
import { restoreMs, type SimulatedWorld, uploadMs } from "./world.ts";

interface Job {
  command: Command;
  beganAt: number;
  endsAt: number;
}

/** The ring is made small again each time it has grown by so many samples. */
const compactEvery = 32;
const heldMb = 1_000;

export class SimulatedMachine {
  readonly epoch: number;
  readonly #world: SimulatedWorld;
  ring: Sample[] = [];
  #sampledAt: number;
  #grown = 0;
  #job: Job | null = null;
  #results: Result[] = [];
  #seal: { commandId: string; snapshot: SnapshotRef } | null = null;
  /** What is not in the store yet. */
  #unsentBytes: number;
  sentBytes = 0;
  receivedBytes = 0;

  constructor(epoch: number, world: SimulatedWorld, now: number) {
    this.epoch = epoch;
    this.#world = world;
    this.#sampledAt = now;
    this.#unsentBytes = world.uploadBytes;
  }

  /** When it has something to say before its next beat is due. */
  get readyAt(): number {
    return this.#job?.endsAt ?? Number.POSITIVE_INFINITY;
  }

  work(usedMs: number): void {
    const { changedBytesPerHour, uploadBytes } = this.#world;
    this.#unsentBytes = Math.min(uploadBytes, this.#unsentBytes + (changedBytesPerHour * usedMs) / 3_600_000);
  }

  sample(now: number, peak: number): void {
    const { memory, intervalMs, threshold } = this.#world;
    const memoryUsedMb = memory === "unknown" ? null : memory === "held" ? heldMb : 0;
    const gpu = { index: 0, name: null, max: peak, mean: peak, busyShare: null, memoryUsedMb, memoryTotalMb: null };
    this.ring.push({ fromAt: this.#sampledAt, toAt: now, expected: 1, taken: 1, gpus: [gpu], sensorError: null });
    this.#sampledAt = now;
    if (++this.#grown < compactEvery) return;
    this.#grown = 0;
    const seconds = intervalMs / 1000;
    const rule = { gpu_usage_threshold: threshold, check_interval_seconds: seconds, signals: defaultSignalRules };
    this.ring = compactSamples(this.ring, rule, now, 1);
  }

  report(now: number, holdMs: number): { results: Result[]; seal: Seal | null } {
    if (this.#job && now >= this.#job.endsAt) this.#finish(this.#job);
    const seal = this.#seal && { ...this.#seal, stats: null, stoppedProcesses: 1, holdsForMs: holdMs };
    const results = this.#results;
    this.#results = [];
    return { results, seal };
  }

  obey(commands: Command[], now: number): void {
    const [wanted] = commands;
    if (this.#job && this.#job.command.id !== wanted?.id) {
      this.#stop(this.#job, now);
      this.#job = null;
    }
    if (this.#seal && this.#seal.commandId !== wanted?.id) this.#seal = null;
    if (!wanted || this.#job || this.#seal) return;
    this.#job = { command: wanted, beganAt: now, endsAt: now + Math.ceil(this.#durationMs(wanted)) };
  }

  #durationMs({ kind }: Command): number {
    if (kind === "snapshot") return uploadMs(this.#world, this.#unsentBytes);
    return kind === "seal" ? this.#world.sealMs : restoreMs(this.#world);
  }

  #send(bytes: number): void {
    this.sentBytes += bytes;
    this.#unsentBytes -= bytes;
  }

  #stop({ command, beganAt }: Job, now: number): void {
    if (command.kind !== "snapshot") return;
    const sendingMs = Math.max(0, now - beganAt - this.#world.scanMs);
    this.#send(Math.min(this.#unsentBytes, (sendingMs / 1000) * this.#world.upBytesPerSecond));
  }

  #finish({ command }: Job): void {
    this.#job = null;
    const { storedBytes } = this.#world;
    const commandId = command.id;
    if (command.kind === "seal") {
      this.#seal = { commandId, snapshot: command.proved };
    } else if (command.kind === "hook") {
      this.#results.push({ commandId, outcome: "hook_ended" });
    } else if (command.kind === "restore") {
      this.receivedBytes += storedBytes;
      this.#results.push({ commandId, outcome: "restored", digest: command.snapshot.digest });
    } else {
      const newStoredBytes = this.#unsentBytes;
      this.#send(newStoredBytes);
      const snapshot = { seq: command.seq, epoch: this.epoch, digest: command.seq.toString(16).padStart(64, "0") };
      const stats = { entries: 1, files: 1, plainBytes: storedBytes, storedBytes, newStoredBytes };
      this.#results.push({ commandId, outcome: "snapshot_taken", snapshot, stats });
    }
  }
}
