import type { signIn as en } from "../en/sign-in.ts";

export const signIn: typeof en = {
  title: "Entrar",
  lead: "GPUs alugadas que dormem sozinhas e acordam quando preciso.",
  token: "Token da API",
  tokenHint:
    "Começa com snu_. É entregue uma vez e não fica guardado: depois disso este navegador tem um cookie que nenhum script lê.",
  submit: "Entrar",
  local: "Continuar como a pessoa desta máquina",
  nowhere: "Neste endereço ninguém pode entrar com um navegador.",
};
