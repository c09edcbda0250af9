/** `soneca instance`: see, make, wake, put to sleep. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { command, follow, idArg, readWait, type Session, waitArgs } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { readRent, rentArgs } from "../rent.ts";
import { checked, readDurationMs, readNumber, readPrice, readSettings, readSnapshotNumber } from "../settings.ts";
import { showInstance, showList, showProof, showSnapshots } from "../show.ts";
import { statusPhrase } from "../status-words.ts";
import { keepAwakeCommand, notNowCommand } from "./awake.ts";
import { configCommand } from "./config.ts";
import { discardCommand } from "./discard.ts";
import { eventsCommand } from "./events.ts";
import { costCommand } from "./money.ts";
import { previewCommand } from "./preview.ts";
import { proxyKeyCommand } from "./proxy-key.ts";
import { renameCommand } from "./rename.ts";
import { scheduleCommand } from "./schedule.ts";
import { seriesCommand } from "./series.ts";

const ruleArgs = {
  pause: {
    type: "string",
    valueHint: "MIN|auto",
    description: "Minutes idle before it goes to sleep (3); auto: when it pays",
  },
  delete: { type: "string", valueHint: "MIN", description: "Minutes asleep before it becomes deleted (30)" },
  threshold: { type: "string", valueHint: "PCT", description: "A GPU below this is idle (5)" },
  interval: { type: "string", valueHint: "SEC", description: "Seconds between two reports (30)" },
} as const;

export const listCommand = command({
  name: "list",
  alias: "ls",
  description: "Your instances, what costs money first",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listInstances");
    output.document(answer);
    if (!output.json) output.print(showList(output, answer.instances, now));
  },
});

const show = command({
  name: "show",
  description: "One instance: state, why it is awake, next step, cost",
  args: idArg,
  async run({ call, resolve, output, now }, args) {
    const view = await call("getInstance", { params: { id: await resolve(args.id) } });
    output.document(view);
    output.print(showInstance(output, view, now));
  },
});

const create = command({
  name: "create",
  description: "Rent a machine and manage it",
  args: {
    name: { type: "string", valueHint: "NAME", description: "What you call it" },
    gpu: { type: "string", valueHint: '"RTX 4090"', description: "GPU type; any without" },
    "gpu-count": { type: "string", valueHint: "N", description: "How many GPUs (1)" },
    region: { type: "string", valueHint: "CC", description: "Country code, or EU, NA, SA, AS, AF, OC" },
    disk: { type: "string", valueHint: "GB", description: "Disk (50)" },
    image: { type: "string", valueHint: "IMAGE", description: "Container image" },
    "max-price": { type: "string", valueHint: "USD", description: "Most that an hour may cost, in US$" },
    ...rentArgs,
    ...ruleArgs,
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const number = (flag: string, text: string | undefined) =>
      text === undefined ? undefined : readNumber(flag, text);
    const body = checked(routes.createInstance.body, {
      name: args.name,
      gpu_type: args.gpu,
      gpu_count: number("--gpu-count", args["gpu-count"]),
      region: args.region,
      disk_gb: number("--disk", args.disk),
      image: args.image,
      max_micro_usd_per_hour: args["max-price"] === undefined ? undefined : readPrice("--max-price", args["max-price"]),
      rent: readRent(args),
      auto_hibernation: readSettings(args) ?? undefined,
    });
    const view = await session.call("createInstance", { body });
    if (!session.output.json)
      session.output.print(`Created ${view.id}${view.name === view.id ? "" : ` (${view.name})`}.`);
    await finish(session, view, "awake", null, wait);
  },
});

const adopt = command({
  name: "adopt",
  description: "Manage a machine that is rented already; prints the one line to run on it",
  args: {
    vast_id: { type: "positional", required: true, description: "The machine's number at vast.ai" },
    name: { type: "string", valueHint: "NAME", description: "What you call it" },
    ...ruleArgs,
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const body = checked(routes.adoptInstance.body, {
      vast_instance_id: readNumber("VAST_ID", args.vast_id),
      name: args.name,
      auto_hibernation: readSettings(args) ?? undefined,
    });
    const answer = await session.call("adoptInstance", { body });
    const { output } = session;
    output.document(wait ? { type: "adopted", ...answer } : answer, wait ? "line" : "pretty");
    if (!output.json) {
      output.note(`Adopted as ${answer.instance.id}. Run this one line on the machine; it holds a secret of its own:`);
      output.print(answer.install_command);
    }
    if (wait) await follow(session, { goal: "awake", first: answer.instance, troubleBefore: null, ...wait });
  },
});

const wake = command({
  name: "wake",
  description: "Wake it, on this GPU type and in this region where given",
  args: {
    ...idArg,
    gpu: { type: "string", valueHint: '"RTX 4090"', description: "GPU type; the one it had without" },
    region: { type: "string", valueHint: "CC", description: "Country code, or EU, NA, SA, AS, AF, OC" },
    "max-price": { type: "string", valueHint: "USD", description: "Most that an hour may cost from now on, in US$" },
    snapshot: { type: "string", valueHint: "N", description: "Go back to this older snapshot; newer ones stay" },
    "keep-trying": { type: "string", valueHint: "TIME", description: "Try again for this long, such as 2h" },
    ...rentArgs,
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const keepMs = args["keep-trying"] === undefined ? 0 : readDurationMs("--keep-trying", args["keep-trying"]);
    const body = checked(routes.wakeInstance.body, {
      gpu_type: args.gpu,
      region: args.region,
      max_micro_usd_per_hour: args["max-price"] === undefined ? undefined : readPrice("--max-price", args["max-price"]),
      rent: readRent(args),
      snapshot: readSnapshotNumber(args.snapshot),
      keep_trying_minutes: keepMs > 0 ? keepMs / 60_000 : undefined,
    });
    const params = { id: await session.resolve(args.id) };
    const before = wait ? await session.call("getInstance", { params }) : null;
    const view = await session.call("wakeInstance", { params, body });
    await finish(session, view, "awake", before, wait);
  },
});

const fork = command({
  name: "fork",
  description: "A new instance that begins with a snapshot of this one; the two share nothing afterwards",
  args: {
    ...idArg,
    snapshot: { type: "string", valueHint: "N", description: "Which one; the current one without" },
    name: { type: "string", valueHint: "NAME", description: "What you call the new one" },
    asleep: { type: "boolean", description: "Copy the snapshot only; nothing is rented" },
    gpu: { type: "string", valueHint: '"RTX 4090"', description: "GPU type; as here without" },
    region: {
      type: "string",
      valueHint: "CC",
      description: "Country code, or EU, NA, SA, AS, AF, OC; as here without",
    },
    disk: { type: "string", valueHint: "GB", description: "Disk; as here without" },
    "max-price": {
      type: "string",
      valueHint: "USD",
      description: "Most that an hour may cost, in US$; as here without",
    },
    ...rentArgs,
    ...ruleArgs,
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const instance = await session.resolve(args.id);
    const body = checked(routes.createInstance.body, {
      from: { instance, snapshot: readSnapshotNumber(args.snapshot) },
      start: args.asleep ? false : undefined,
      name: args.name,
      gpu_type: args.gpu,
      region: args.region,
      disk_gb: args.disk === undefined ? undefined : readNumber("--disk", args.disk),
      max_micro_usd_per_hour: args["max-price"] === undefined ? undefined : readPrice("--max-price", args["max-price"]),
      rent: readRent(args),
      auto_hibernation: readSettings(args) ?? undefined,
    });
    const view = await session.call("createInstance", { body });
    if (!session.output.json)
      session.output.print(`Created ${view.id}${view.name === view.id ? "" : ` (${view.name})`}.`);
    await finish(session, view, args.asleep ? "asleep" : "awake", null, wait);
  },
});

const hibernate = command({
  name: "hibernate",
  description: "Put it to sleep now: snapshot, proof, then the machine is given back; cancels a wake under way",
  args: {
    ...idArg,
    force: { type: "boolean", description: "Its before-sleep script is run, and may not put the sleep off" },
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const params = { id: await session.resolve(args.id) };
    const before = wait ? await session.call("getInstance", { params }) : null;
    const body = args.force ? { force: true } : {};
    const view = await session.call("hibernateInstance", { params, body });
    await finish(session, view, "asleep", before, wait);
  },
});

const snapshots = command({
  name: "snapshots",
  description: "The snapshots that the store holds of it, newest first; with --proof what was checked of one",
  args: {
    ...idArg,
    proof: { type: "string", valueHint: "SEQ", description: "Show the record of this snapshot's proof" },
  },
  async run({ call, resolve, output, now }, args) {
    const id = await resolve(args.id);
    const answer = await call("listSnapshots", { params: { id } });
    if (args.proof === undefined) {
      output.document(answer);
      output.print(showSnapshots(answer.snapshots, now));
      return;
    }
    const seq = readNumber("--proof", args.proof.replace(/^.*@/, ""));
    const found = answer.snapshots.find((one) => one.seq === seq);
    if (!found) throw usageFailure(`The store holds no snapshot ${seq} of ${id}.`, "List them without --proof.");
    output.document(found);
    output.print(showProof(found, now));
  },
});

async function finish(
  session: Session,
  view: InstanceView,
  goal: "awake" | "asleep",
  before: InstanceView | null,
  wait: { timeoutMs: number } | null,
): Promise<void> {
  const { output, now } = session;
  if (!wait) {
    output.document(view);
    output.print(output.status(view.status, `${statusPhrase(view, now)}.`));
    const isUnderWay = view.copying !== null || ["waking", "hibernating"].includes(view.status);
    if (isUnderWay) output.print(`It goes on by itself. Follow it with \`soneca instance show ${view.id}\`.`);
    return;
  }
  const end = await follow(session, { goal, first: view, troubleBefore: before?.trouble?.at ?? null, ...wait });
  if (goal === "awake" && end.machine?.ssh) output.print(`Connect: ${end.machine.ssh}`);
}

export const instanceCommand = defineCommand({
  meta: { name: "soneca instance", description: "See, make, wake and put to sleep instances" },
  subCommands: {
    list: listCommand,
    show,
    create,
    adopt,
    rename: renameCommand,
    wake,
    fork,
    hibernate,
    schedule: scheduleCommand,
    "keep-awake": keepAwakeCommand,
    "not-now": notNowCommand,
    discard: discardCommand,
    config: configCommand,
    preview: previewCommand,
    events: eventsCommand,
    series: seriesCommand,
    cost: costCommand,
    key: proxyKeyCommand,
    snapshots,
  },
});
