/** One heartbeat of the agent: that of an older machine is fenced off, any other is heard, and answered with what should be so now. */
import { machineWith, speaks } from "../../core/lifecycle/attempts.ts";
import { commandsFor } from "../../core/lifecycle/commands.ts";
import { reportTravelMs } from "../../core/lifecycle/deadlines.ts";
import { untilNextBeatMs } from "../../core/lifecycle/warning.ts";
import type { StatusAnswer, StatusReport } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { agentTokenLifeMs, signAgentToken } from "../tokens.ts";
import { orderUpdate } from "./agent-build.ts";
import { type Answer, notFound } from "./answer.ts";
import { hearReport } from "./hearing.ts";
import { machineOf } from "./machine-of.ts";
import type { InstanceShell } from "./shell.ts";

export class Beats {
  readonly #env: Env;
  readonly #shell: InstanceShell;
  #last: { bootId: string | null; sentAt: number; uptimeMs: number | undefined; heardAt: number } | null = null;

  constructor(env: Env, shell: InstanceShell) {
    this.#env = env;
    this.#shell = shell;
  }

  async beat(epoch: number, tokenIssuedAt: number, report: StatusReport): Promise<Answer<{ answer: StatusAnswer }>> {
    const { saved, live, gate, watchers } = this.#shell;
    if (!saved) return notFound;
    if (!speaks(saved.state, epoch)) return { ok: false, code: "epoch_fenced", context: { epoch } };
    // A create that was carried out twice made two machines of one epoch: only the one that is known may speak.
    const facts = machineWith(saved.state, epoch)?.facts;
    const spoken = report.agent?.container;
    if (facts?.providerId !== undefined && spoken !== undefined && facts.providerId !== spoken)
      return { ok: false, code: "epoch_fenced", context: { epoch } };
    const now = Date.now();
    // A report that was overtaken on its way says nothing new; above all its seal may be off by now.
    if (this.#isOvertaken(report, now))
      return { ok: true, answer: await this.#answerFor(epoch, tokenIssuedAt, report, now) };
    const heard = hearReport(saved, live, { epoch, gpuCount: facts?.gpuCount ?? null, report, now });
    this.#shell.hear(heard, now);
    const { agent, sentAt = 0, uptimeMs } = report;
    this.#last = { bootId: agent?.bootId ?? null, sentAt, uptimeMs, heardAt: now };
    this.#shell.apply(heard.event);
    if (machineOf(this.#shell.state)?.epoch === epoch) gate.learn(epoch, report.gate);
    watchers.tell();
    this.#shell.wakeUp();
    return { ok: true, answer: await this.#answerFor(epoch, tokenIssuedAt, report, now) };
  }

  #isOvertaken(report: StatusReport, now: number): boolean {
    const last = this.#last;
    if (last === null || report.agent?.bootId !== last.bootId) return false;
    if (report.uptimeMs !== undefined && last.uptimeMs !== undefined) return report.uptimeMs < last.uptimeMs;
    // An agent of before has only the machine's clock, which may be set back: no report is on its way for longer than this.
    return (report.sentAt ?? last.sentAt) < last.sentAt && now - last.heardAt < reportTravelMs;
  }

  async #answerFor(epoch: number, tokenIssuedAt: number, report: StatusReport, now: number): Promise<StatusAnswer> {
    const { state, nudges, gate, watchers } = this.#shell;
    const isOld = now - tokenIssuedAt > agentTokenLifeMs / 2;
    const token = isOld ? await signAgentToken(this.#env.AGENT_JWT_SECRET, state.instance, epoch, now) : undefined;
    const intervalsKept = this.#shell.intervalsKept(report.agent?.bootId);
    const commands = commandsFor(state, epoch, this.#shell.context().timings);
    nudges.tell(commands);
    const order = await gate.order(epoch, report.gate);
    const update = await orderUpdate(this.#env, report, { isAtRest: commands.length === 0 });
    return {
      ok: true,
      status: state.now.status,
      nextBeatMs: watchers.beatWithin(untilNextBeatMs(state, this.#shell.context())),
      gpuUsageThreshold: state.config.gpu_usage_threshold,
      commands,
      intervalsKept,
      // A result either moved the state, which is written, or concerns a command that is off: it is never needed again.
      resultsKept: (report.results ?? []).map((result) => result.commandId),
      ...(token ? { token } : {}),
      ...(order ? { gate: order } : {}),
      ...(update ? { update } : {}),
      ...(report.update ? { updateKept: report.update.id } : {}),
    };
  }
}
