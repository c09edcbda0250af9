/** What must hold after each half of a cycle, by witnesses that do not go through the product. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { LocalCloud } from "../../local-cloud/cloud.ts";
import { compareFolders } from "../../local-cloud/compare.ts";
import type { BillRow } from "../../local-cloud/vast/bill.ts";
import type { Instance } from "../testing/cloud.ts";
import { Breach, type World } from "./world.ts";

/** Errors: Breach. The present machine's row, or null when there must be none. */
export async function checkMachines(world: World, instance: Instance, view: InstanceView): Promise<void> {
  const machines = (await world.machines()).filter((one) => isOf(one, instance));
  const ids = machines.map((one) => one.id);
  const rows = (await world.bill()).filter((row) => isOf(row, instance) && row.endedAt === null);
  const still = view.stopped_machine;
  if (view.state === "hibernated" || view.state === "deleted") {
    if (ids.join() !== (still ? String(still.vast_instance_id) : ""))
      throw new Breach(
        `I5: ${view.state} with ${still?.vast_instance_id ?? "no machine"}, and machines ${ids} are there`,
      );
    if (still?.stopped_at === null) throw new Breach(`machine ${still.vast_instance_id} is not known to stand still`);
    const open = rows[0]?.intervals.at(-1)?.state;
    if (still && open !== "stopped" && open !== "offline")
      throw new Breach(`machine ${still.vast_instance_id} stands still, and is billed as ${open}`);
  } else if (still) {
    throw new Breach(`I11: ${view.state}, and machine ${still.vast_instance_id} is stopped beside it`);
  } else if (ids.length !== 1 || ids[0] !== view.machine?.vast_instance_id) {
    throw new Breach(`I11: ${view.state} with machine ${view.machine?.vast_instance_id}, and there are ${ids}`);
  }
  const open = rows.map((row) => row.id);
  if (open.join() !== ids.join()) throw new Breach(`machines ${ids} are there, and ${open} are paid`);
  if (view.machine && view.machine.label !== machines[0]?.label) {
    throw new Breach(`the machine's label is ${machines[0]?.label}, not ${view.machine.label}`);
  }
}

export function isOf(one: { label: string | null }, instance: Instance): boolean {
  return one.label?.startsWith(`soneca:${instance.id}:`) ?? false;
}

export interface StoreCheck {
  parts: number;
  bytes: number;
}

/**
 * The manifest of the snapshot and every part that it lists, read from the files that workerd keeps R2 in: there, of the
 * size that is told, and with the content that its name is the SHA-256 of. Errors: Breach.
 */
export function checkStore(cloud: LocalCloud, instance: Instance, view: InstanceView): StoreCheck {
  const { snapshot } = view;
  if (!snapshot) throw new Breach(`${view.state} without a snapshot`);
  const store = openStore(cloud);
  try {
    const name = `i/${instance.id}/manifests/${String(snapshot.seq).padStart(8, "0")}-${snapshot.epoch}`;
    const text = store.read(name);
    if (!text) throw new Breach(`the manifest ${name} is not in the store`);
    const manifest = JSON.parse(text.toString()) as { digest: string; parts: { key: string; bytes: number }[] };
    if (manifest.digest !== snapshot.digest) throw new Breach(`the manifest ${name} has another digest than is shown`);
    let bytes = 0;
    for (const part of manifest.parts) {
      const content = store.read(`i/${instance.id}/parts/${part.key}`);
      if (!content) throw new Breach(`part ${part.key} of snapshot ${snapshot.seq} is missing`);
      if (content.length !== part.bytes)
        throw new Breach(`part ${part.key} has ${content.length} bytes, not ${part.bytes}`);
      if (createHash("sha256").update(content).digest("hex") !== part.key)
        throw new Breach(`part ${part.key} is damaged`);
      bytes += content.length;
    }
    return { parts: manifest.parts.length, bytes };
  } finally {
    store.close();
  }
}

function openStore(cloud: LocalCloud): { read(key: string): Buffer | null; close(): void } {
  const root = join(cloud.stateDir, "worker", "v3", "r2");
  const folder = join(root, "miniflare-R2BucketObject");
  const file = readdirSync(folder).find((name) => name.endsWith(".sqlite") && !name.startsWith("metadata"));
  if (!file) throw new Error(`no bucket in ${folder}`);
  const database = new DatabaseSync(join(folder, file), { readOnly: true });
  const find = database.prepare("SELECT blob_id FROM _mf_objects WHERE key = ?");
  return {
    read(key) {
      const row = find.get(key) as { blob_id: string } | undefined;
      const blob = row && join(root, "soneca-snapshots", "blobs", row.blob_id);
      return blob && existsSync(blob) ? readFileSync(blob) : null;
    },
    close: () => database.close(),
  };
}

/**
 * Compares the workspace with its kept original, byte by byte, by code that shares nothing with the engine. The file that
 * somebody wrote on is no part of the original: it must be a beginning of 1, 2, 3 ... that is no longer than what was
 * written, and where nothing may be missing, all of it. Errors: Breach.
 */
export function checkWorkspace(kept: string, workspace: string, written: { count: number; isWhole: boolean } | null) {
  const { differences, differenceCount, files, bytes } = compareFolders(kept, workspace);
  const others = differences.filter((text) => !text.startsWith("./live"));
  if (others.length > 0 || differenceCount > differences.length) {
    throw new Breach(`the workspace differs from its original in ${differenceCount} places:\n${others.join("\n")}`);
  }
  const file = join(workspace, "live", "numbers.txt");
  if (written) {
    const text = statSync(file, { throwIfNoEntry: false }) ? readFileSync(file, "utf8") : "";
    const count = text.split("\n").length - 1;
    const wanted = Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
    // A line that a full disk cut short is as it was on the machine.
    const rest = text.slice(wanted.length);
    if (!text.startsWith(wanted) || !`${count + 1}\n`.startsWith(rest))
      throw new Breach("what somebody wrote while the machine fell asleep is damaged");
    // Inside first, outside second: it was stopped between the two or after both.
    if (count > written.count + 1) throw new Breach(`${count} lines are there, ${written.count} were written`);
    if (written.isWhole && count < written.count) {
      throw new Breach(`${written.count} lines were written before the machine was stopped, ${count} are kept`);
    }
  }
  return { files, bytes };
}

export interface BillCheck {
  /** By the stand-in. */
  paidSeconds: number;
  paidMicroUsd: number;
  /** By the product's ledger. */
  ledgerSeconds: number;
  ledgerMicroUsd: number;
  machines: number;
}

/** The GPUs' time, and the price of GPU and disk, by the stand-in's bill, beside the ledger. Traffic is counted apart. */
export function readBills(bill: BillRow[], instance: Instance, view: InstanceView): BillCheck {
  const rows = bill.filter((row) => isOf(row, instance));
  const running = rows.flatMap((row) => row.intervals.filter((one) => one.state === "running"));
  return {
    paidSeconds: running.reduce((sum, one) => sum + one.seconds, 0),
    paidMicroUsd: rows.reduce((sum, row) => sum + row.microUsd - row.traffic.microUsd, 0),
    ledgerSeconds: view.cost.paid_seconds,
    ledgerMicroUsd: view.cost.paid_micro_usd,
    machines: rows.length,
  };
}
