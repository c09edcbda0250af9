/** The words of the page that stands in for a service, in the two languages of the product. */

export interface PageWords {
  lang: string;
  waking: string;
  asleep: string;
  /** Where the wake is, by its phase. */
  phases: Record<string, string>;
  /** `{n}`: a time such as "3 min". */
  readyIn: string;
  /** `{t}`: a time of day. */
  atLatest: string;
  unknown: string;
  of: string;
  opens: string;
  why: Record<string, string>;
  minutes: string;
  seconds: string;
}

const en: PageWords = {
  lang: "en",
  waking: "{name} is waking up",
  asleep: "{name} is asleep",
  phases: {
    falling_asleep: "Just falling asleep",
    asleep: "Asking for a machine",
    renting: "Finding a machine",
    booting: "The machine boots",
    restoring: "Bringing files back",
    connecting: "Connecting",
    starting: "The service starts",
    unreachable: "Out of reach",
    failed: "Something went wrong",
  },
  readyIn: "Ready in about {n}",
  atLatest: ", at the latest {t}",
  unknown: "It has woken too seldom to say how long it takes.",
  of: "{a} of {b} GB",
  opens: "It opens here by itself. No need to reload.",
  why: {
    wake_not_automatic: "Visits do not wake it. Its owner can.",
    request_does_not_wake: "A visit of this kind does not wake it.",
    wakes_per_hour_spent: "Visits woke it as often as they may within this hour.",
    money_per_day_spent: "It has cost as much today as visits may make it cost.",
  },
  minutes: "{n} min",
  seconds: "{n} s",
};

const ptBR: PageWords = {
  lang: "pt-BR",
  waking: "{name} está acordando",
  asleep: "{name} está dormindo",
  phases: {
    falling_asleep: "Acabando de adormecer",
    asleep: "Pedindo uma máquina",
    renting: "Procurando uma máquina",
    booting: "A máquina está ligando",
    restoring: "Trazendo os arquivos de volta",
    connecting: "Conectando",
    starting: "O serviço está iniciando",
    unreachable: "Sem contato",
    failed: "Algo deu errado",
  },
  readyIn: "Pronta em cerca de {n}",
  atLatest: ", no máximo às {t}",
  unknown: "Ela acordou poucas vezes para dizer quanto demora.",
  of: "{a} de {b} GB",
  opens: "Ela abre aqui sozinha. Não precisa recarregar.",
  why: {
    wake_not_automatic: "Visitas não a acordam. Quem é dono pode acordá-la.",
    request_does_not_wake: "Uma visita deste tipo não a acorda.",
    wakes_per_hour_spent: "As visitas já a acordaram quantas vezes podem nesta hora.",
    money_per_day_spent: "Ela já custou hoje o máximo que visitas podem gastar.",
  },
  minutes: "{n} min",
  seconds: "{n} s",
};

/** `accept`: Accept-Language; the first that is known, else English. */
export function pageWords(accept: string | null): PageWords {
  for (const part of (accept ?? "").split(",")) {
    const tag = part.split(";")[0]?.trim().toLowerCase() ?? "";
    if (tag.startsWith("pt")) return ptBR;
    if (tag.startsWith("en")) return en;
  }
  return en;
}
