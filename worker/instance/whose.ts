/**
 * Which of the provider's machines is the one that is meant, and which carry its label beside it. The label is the key;
 * where it was lost, the environment that went with the same request names it (docs/adr/0012).
 */
import { parseMachineLabel } from "../../core/protocol/ids.ts";
import type { RentedMachine } from "../providers/provider.ts";

/** The label of ours that it carries; null for a machine that is not ours, or that its owner named otherwise. */
export function labelOf(machine: RentedMachine): string | null {
  if (machine.label) return parseMachineLabel(machine.label) ? machine.label : null;
  return machine.envLabel;
}

/** Ours by its environment alone: a copy that somebody made of a machine of ours would look the same. */
export function isByEnv(machine: RentedMachine): boolean {
  return !machine.label && machine.envLabel !== null;
}

export interface Found {
  machine: RentedMachine | null;
  /** Others under the same label: a create that was carried out twice. */
  twins: RentedMachine[];
}

export function findOwn(machines: RentedMachine[], wanted: { providerId: number | null; label: string }): Found {
  const labelled = machines.filter((one) => labelOf(one) === wanted.label).sort((a, b) => a.id - b.id);
  const machine =
    wanted.providerId === null
      ? labelled[0]
      : machines.find((one) => one.id === wanted.providerId && !isOfAnother(one, wanted.label));
  const twins = machine ? labelled.filter((one) => one !== machine && !isByEnv(one)) : [];
  return { machine: machine ?? null, twins };
}

/** The label of ours that it carries or was rented under, whatever its owner calls it now; null for one that tells none. */
export function toldLabel(machine: RentedMachine): string | null {
  return parseMachineLabel(machine.label) ? machine.label : machine.envLabel;
}

/** A number alone proves nothing: an answer may have been meant for another call. */
function isOfAnother(machine: RentedMachine, label: string): boolean {
  const told = toldLabel(machine);
  return told !== null && told !== label;
}
