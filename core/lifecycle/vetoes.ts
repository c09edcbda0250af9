/**
 * What price never decides: how long it must be quiet before anything happens, and how often a machine may sleep. A
 * stalled training that is ended loses all that it has not saved. They bind `auto`; a number is its owner's own word.
 */
import type { AutoHibernation } from "../protocol/config.ts";
import { autoOf } from "./auto-state.ts";
import type { IdleRule, Sample } from "./idle.ts";
import { minutesMs } from "./machines.ts";
import type { State, WakeRequest } from "./types.ts";

const minuteMs = 60_000;
export const floorMs = 3 * minuteMs;
/** Loaders and checkpoints let a GPU stand at 0 % for one to four minutes while the training holds its memory. */
export const memoryFloorMs = 5 * minuteMs;
export const highestFloorMs = 30 * minuteMs;
export const floorHoldsMs = 24 * 60 * minuteMs;
export const graceMs = 10 * minuteMs;
export const sleepsPerHour = 6;
/** A driver alone holds less, a process with a context more. */
const freeMemoryMb = 64;

/** How long every signal must be quiet before the upload begins. `memoryHeld`: a process may hold GPU memory. */
export function quietFloorMs(state: State, memoryHeld: boolean, now: number): number {
  const { pause_after_idle_minutes: pause } = state.config;
  if (pause !== "auto") return minutesMs(pause);
  const { floor } = autoOf(state);
  const learned = floor && now < floor.until ? floor.ms : 0;
  return Math.max(memoryHeld ? memoryFloorMs : floorMs, learned);
}

/** What the idle rule's samples are judged by now: its window is the floor. */
export function idleRuleOf(state: State, memoryHeld: boolean, now: number): IdleRule {
  return { ...state.config, pause_after_idle_minutes: quietFloorMs(state, memoryHeld, now) / minuteMs };
}

/** After a wake the machine is left alone for a while: whoever woke it comes back to it. */
export function graceAfterWakeMs({ pause_after_idle_minutes: pause, grace_minutes: grace }: AutoHibernation): number {
  return pause === "auto" ? Math.max(graceMs, minutesMs(grace)) : minutesMs(grace);
}

/** Before this no idle rule lets a machine go that the clock wants to be ready: whoever comes at the time finds it. */
export function readyUntil({ config }: State, wake: WakeRequest | null): number {
  return wake?.readyAt === undefined ? 0 : wake.readyAt + graceAfterWakeMs(config);
}

/** Whether the machine may go at this moment, as far as the number of sleeps is concerned. */
export function maySleepAgain(state: State, now: number): boolean {
  if (state.config.pause_after_idle_minutes !== "auto") return true;
  return autoOf(state).recentSleeps.filter((at) => now - at < 60 * minuteMs).length < sleepsPerHour;
}

/** What is not known is held. */
export function holdsGpuMemory(samples: readonly Sample[]): boolean {
  const newest = samples.at(-1);
  if (!newest || newest.gpus.length === 0) return true;
  return newest.gpus.some((gpu) => gpu.memoryUsedMb === null || gpu.memoryUsedMb >= freeMemoryMb);
}
