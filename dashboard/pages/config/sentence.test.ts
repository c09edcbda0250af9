import { describe, expect, test } from "vitest";
import { defaultAutoHibernation as config } from "../../../core/protocol/config.ts";
import { en } from "../../i18n/en.ts";
import { createFormats } from "../../i18n/format.ts";
import { ptBR } from "../../i18n/pt.ts";
import { boldParts, idleSentence } from "./sentence.ts";

const english = { t: en, f: createFormats("en", "UTC") };
const portuguese = { t: ptBR, f: createFormats("pt-BR", "UTC") };
const say = (...[draft, price, reader]: Parameters<typeof idleSentence>) =>
  idleSentence(draft, price, reader).replaceAll("\u00a0", " ");
const signals = {
  ...config.signals,
  terminal: { enabled: true, threshold: 300 },
  jupyter: { enabled: true, threshold: 1 },
};

describe("the idle rule in words", () => {
  test("says after what, below what, and what then", () => {
    expect(say({ ...config, signals }, 360_000, english)).toBe(
      "After **3 min** below **5 % GPU**, with **no terminal, request to a service, or Jupyter kernel** busy, " +
        "it takes a snapshot, proves it, destroys the machine and stops **US$ 0.36/h**.",
    );
    expect(say({ ...config, signals }, 360_000, portuguese)).toBe(
      "Depois de **3 min** abaixo de **5 % de GPU**, sem **terminal, pedido a um serviço ou kernel do Jupyter** em atividade, " +
        "ela tira um snapshot, comprova-o, destrói a máquina e para de gastar **US$ 0,36/h**.",
    );
  });

  test("names no signal where none counts, and no price where none is known", () => {
    const none = { ...signals, terminal: signals.cpu, jupyter: signals.cpu, traffic: signals.cpu };
    expect(say({ ...config, signals: none, gpu_usage_threshold: 7.5 }, null, english)).toBe(
      "After **3 min** below **7.5 % GPU**, it takes a snapshot, proves it and destroys the machine.",
    );
  });

  test("when sleeping pays, and where the disk still costs", () => {
    expect(say({ ...config, pause_after_idle_minutes: "auto", pause_mode: "stop" }, 360_000, english)).toBe(
      "Once sleeping **pays off**, below **5 % GPU**, with **no request to a service** busy, " +
        "it takes a snapshot, proves it and stops the machine. Of **US$ 0.36/h** only the disk still costs.",
    );
  });

  test("off", () => {
    expect(say({ ...config, enabled: false }, 360_000, english)).toBe(
      "It does not sleep by itself. It stays rented at **US$ 0.36/h** until you say so.",
    );
  });
});

test("stars make words bold", () => {
  expect(boldParts("**a** b **c**.")).toEqual([
    ["a", true],
    [" b ", false],
    ["c", true],
    [".", false],
  ]);
});
