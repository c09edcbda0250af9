/** What notices say, in the language of their channel. */
import type { NoticeLanguage, NoticeType } from "../../core/protocol/notices.ts";
import type { Notice } from "./notice.ts";

/** `alert` wants a person, `soon` a decision; the others only tell. */
export type Tone = "alert" | "soon" | "good" | "plain";
type Words = { title: string; text: string };
export type ButtonName = "not_now" | "wake";

interface Catalogue {
  notices: Record<NoticeType | "test", Words>;
  because(reason: string): string;
  /** At a sleep that is announced. */
  inTime(time: string): string;
  /** At a wake. */
  after(time: string): string;
  seconds(count: number): string;
  minutes(count: number): string;
  open: string;
  buttons: Record<ButtonName, string>;
  test: string;
}

const en: Catalogue = {
  notices: {
    wake_failed: { title: "Wake failed", text: "It is where it was before, and nothing is lost." },
    wake_retries_ended: { title: "Wake failed for good", text: "It is not tried again by itself." },
    snapshot_failed: { title: "Snapshot failed", text: "The machine is kept, and goes on costing." },
    snapshot_damaged: { title: "Snapshot found damaged", text: "See which older one can take its place." },
    checkpoint_failed: { title: "Checkpoint failed", text: "What changed since the last one is on the machine alone." },
    copy_failed: { title: "Copy failed", text: "The snapshot of the other instance is not here." },
    destroy_failed: { title: "Machine does not end", text: "It goes on costing. Ending it is tried again and again." },
    stop_failed: { title: "Machine does not stop", text: "It goes on costing. Stopping it is tried again and again." },
    orphan_found: { title: "Stray machine found", text: "It has this instance's label and is being ended." },
    machine_kept: {
      title: "Stopped machine kept",
      text: "It holds what no snapshot has, and its disk goes on costing.",
    },
    unreachable: { title: "No contact", text: "Its agent is silent. The machine is kept, and goes on costing." },
    reachable: { title: "In contact again", text: "Its agent reports." },
    machine_lost: { title: "Machine lost", text: "The provider does not have it any more." },
    failed: { title: "Needs attention", text: "It does nothing more by itself." },
    sleep_soon: { title: "Sleeps soon", text: "It goes to sleep if nothing happens." },
    hibernated: { title: "Asleep", text: "Its snapshot is proved and the machine costs no GPU time." },
    woke_up: { title: "Awake", text: "It is ready." },
    deleted: { title: "Deleted", text: "No machine is rented. What snapshots there are stay." },
    test: { title: "Test notice", text: "This channel works." },
  },
  because: (reason) => `Reason: ${reason}`,
  inTime: (time) => `It goes to sleep in ${time} if nothing happens.`,
  after: (time) => `It is ready, after ${time}.`,
  seconds: (count) => `${count} s`,
  minutes: (count) => `${count} min`,
  open: "Open",
  buttons: { not_now: "Not now", wake: "Wake" },
  test: "Soneca",
};

const ptBR: Catalogue = {
  notices: {
    wake_failed: { title: "Não acordou", text: "Está onde estava antes, e nada se perdeu." },
    wake_retries_ended: { title: "Não acordou, de vez", text: "Não se tenta mais sozinho." },
    snapshot_failed: { title: "O snapshot falhou", text: "A máquina fica, e continua custando." },
    snapshot_damaged: { title: "Snapshot danificado", text: "Veja qual mais antigo pode tomar o lugar dele." },
    checkpoint_failed: { title: "O checkpoint falhou", text: "O que mudou desde o último está só na máquina." },
    copy_failed: { title: "A cópia falhou", text: "O snapshot da outra instância não está aqui." },
    destroy_failed: {
      title: "A máquina não termina",
      text: "Continua custando. Tenta-se encerrá-la de novo e de novo.",
    },
    stop_failed: { title: "A máquina não para", text: "Continua custando. Tenta-se pará-la de novo e de novo." },
    orphan_found: {
      title: "Máquina perdida encontrada",
      text: "Tem a etiqueta desta instância e está sendo encerrada.",
    },
    machine_kept: {
      title: "Máquina parada mantida",
      text: "Guarda o que nenhum snapshot tem, e o disco dela continua custando.",
    },
    unreachable: { title: "Sem contato", text: "O agente não responde. A máquina fica, e continua custando." },
    reachable: { title: "De novo em contato", text: "O agente responde." },
    machine_lost: { title: "Máquina perdida", text: "O provedor não a tem mais." },
    failed: { title: "Precisa de atenção", text: "Não faz mais nada sozinha." },
    sleep_soon: { title: "Dorme em breve", text: "Vai dormir se nada acontecer." },
    hibernated: { title: "Dormindo", text: "O snapshot está comprovado e a máquina não custa mais tempo de GPU." },
    woke_up: { title: "Acordada", text: "Está pronta." },
    deleted: { title: "Apagada", text: "Nenhuma máquina está alugada. Os snapshots que existem ficam." },
    test: { title: "Aviso de teste", text: "Este canal funciona." },
  },
  because: (reason) => `Motivo: ${reason}`,
  inTime: (time) => `Vai dormir em ${time} se nada acontecer.`,
  after: (time) => `Está pronta, depois de ${time}.`,
  seconds: (count) => `${count} s`,
  minutes: (count) => `${count} min`,
  open: "Abrir",
  buttons: { not_now: "Agora não", wake: "Acordar" },
  test: "Soneca",
};

const catalogues: Record<NoticeLanguage, Catalogue> = { en, "pt-BR": ptBR };

const tones: Partial<Record<Notice["type"], Tone>> = {
  sleep_soon: "soon",
  woke_up: "good",
  reachable: "good",
  test: "good",
  hibernated: "plain",
  deleted: "plain",
};

export interface Message {
  /** `train: Wake failed`. */
  title: string;
  text: string;
  tone: Tone;
  /** Where the dashboard shows it; null where the deployment does not know its own address. */
  url: string | null;
  open: string;
}

/** `publicUrl`: where people reach the dashboard; may be empty. */
export function messageOf(notice: Notice, language: NoticeLanguage, publicUrl: string): Message {
  const words = catalogues[language];
  const { title, text } = words.notices[notice.type];
  const path = notice.instance ? `/i/${notice.instance.id}` : "/settings#channels";
  const lines = [timedText(notice, words) ?? text];
  if (notice.reason) lines.push(words.because(notice.reason));
  return {
    title: `${notice.instance?.name ?? words.test}: ${title}`,
    text: lines.join("\n"),
    tone: tones[notice.type] ?? "alert",
    url: publicUrl === "" ? null : `${publicUrl}${path}`,
    open: words.open,
  };
}

export function buttonWord(name: ButtonName, language: NoticeLanguage): string {
  return catalogues[language].buttons[name];
}

/** Where the text names a time that the log tells. */
function timedText({ type, at, params }: Notice, words: Catalogue): string | null {
  if (type === "sleep_soon" && typeof params.sleeps_at === "number")
    return words.inTime(spanOf(params.sleeps_at - at, words));
  if (type === "woke_up" && typeof params.wake_ms === "number") return words.after(spanOf(params.wake_ms, words));
  return null;
}

function spanOf(ms: number, words: Catalogue): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 120 ? words.seconds(seconds) : words.minutes(Math.round(seconds / 60));
}
