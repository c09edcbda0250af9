/** Numbers, money, times and amounts in the reader's language and zone. Spaces in them do not break. */

export type Language = "en" | "pt-BR";

const nbsp = "\u00a0";
const dayMs = 86_400_000;

export interface Formats {
  language: Language;
  zone: string;
  /** `US$ 1,234.50`; with three decimals below ten cents where `isFine`. */
  money(microUsd: number, isFine?: boolean): string;
  perHour(microUsd: number): string;
  number(value: number, digits?: number): string;
  percent(value: number, digits?: number): string;
  bytes(value: number): string;
  rate(bytesPerSecond: number): string;
  /** `2:14`, `1:02:14`. */
  countdown(ms: number): string;
  /** `6 min`, `1 h 31 min`, `3 d 19 h`, `46 s`. */
  duration(ms: number): string;
  /** `14:34`; of another day with it: `Mon 19:44`, `3 Nov`. */
  moment(at: number | string, now: number): string;
  /** `14:34:05`. */
  clock(at: number | string): string;
  /** `24 Nov 2026, 14:34:05`, with the zone for screen readers and titles. */
  full(at: number | string): string;
  date(at: number | string): string;
  month(at: number | string): string;
  /** `3 Nov`. */
  dayMonth(at: number | string): string;
  /** `Tue, 3 Nov`. */
  day(at: number | string): string;
  ratio(value: number): string;
  /** `Wed`. */
  weekday(at: number | string): string;
}

const decimals = (value: number): number => (value >= 100 || value === 0 ? 0 : value >= 10 ? 1 : 1);

export function createFormats(language: Language, zone: string): Formats {
  const numbers = memo((options: Intl.NumberFormatOptions) => new Intl.NumberFormat(language, options));
  const dates = memo(
    (options: Intl.DateTimeFormatOptions) =>
      new Intl.DateTimeFormat(language, { timeZone: zone, hourCycle: "h23", ...options }),
  );
  const time = (at: number | string) => (typeof at === "string" ? Date.parse(at) : at);
  const number = (value: number, digits = 0) =>
    numbers({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
  const money = (microUsd: number, isFine = false) => {
    const dollars = microUsd / 1_000_000;
    const digits = isFine && Math.abs(dollars) >= 0.0005 && Math.abs(dollars) < 0.0995 ? 3 : 2;
    const text = numbers({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(Math.abs(dollars));
    return `${dollars < 0 && Number(text.replace(/[^\d]/g, "")) !== 0 ? "−" : ""}US$${nbsp}${text}`;
  };
  const bytes = (value: number) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let [left, unit] = [value, 0];
    while (left >= 999.5 && unit < units.length - 1) {
      left /= 1000;
      unit++;
    }
    return `${number(left, unit === 0 ? 0 : decimals(left))}${nbsp}${units[unit]}`;
  };
  const hm = (at: number) => dates({ hour: "2-digit", minute: "2-digit" }).format(at);
  const dayOf = (at: number) => dates({ year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
  return {
    language,
    zone,
    money,
    number,
    bytes,
    perHour: (microUsd) => `${money(microUsd, true)}/h`,
    percent: (value, digits = 0) => `${number(value, digits)}${nbsp}%`,
    rate: (perSecond) => `${bytes(perSecond)}/s`,
    countdown(ms) {
      const seconds = Math.max(0, Math.ceil(ms / 1000));
      const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
      const two = (value: number) => String(value).padStart(2, "0");
      return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
    },
    duration(ms) {
      const seconds = Math.max(0, Math.round(ms / 1000));
      const parts =
        seconds < 60
          ? [`${seconds}${nbsp}s`]
          : seconds < 600 && seconds % 60 !== 0
            ? [`${Math.floor(seconds / 60)}${nbsp}min`, `${seconds % 60}${nbsp}s`]
            : seconds < 3600
              ? [`${Math.round(seconds / 60)}${nbsp}min`]
              : hoursAndMore(seconds);
      return parts.join(nbsp);
    },
    moment(at, now) {
      const then = time(at);
      if (dayOf(then) === dayOf(now)) return hm(then);
      const isNear = Math.abs(then - now) < 6 * dayMs;
      if (isNear) return dates({ weekday: "short", hour: "2-digit", minute: "2-digit" }).format(then).replace(",", "");
      return dates({ day: "numeric", month: "short" }).format(then);
    },
    clock: (at) => dates({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(time(at)),
    full: (at) => dates({ dateStyle: "medium", timeStyle: "long" }).format(time(at)),
    date: (at) => dates({ day: "numeric", month: "short", year: "numeric" }).format(time(at)),
    month: (at) => dates({ month: "long" }).format(time(at)),
    dayMonth: (at) => dates({ day: "numeric", month: "short" }).format(time(at)),
    day: (at) => dates({ weekday: "short", day: "numeric", month: "short" }).format(time(at)),
    ratio: (value) => `${number(value, 2)}×`,
    weekday: (at) => dates({ weekday: "short" }).format(time(at)).replace(".", ""),
  };
}

/** Formats take long to make and are wanted again and again. */
function memo<O extends object, F>(make: (options: O) => F): (options: O) => F {
  const made = new Map<string, F>();
  return (options) => {
    const key = JSON.stringify(options);
    const known = made.get(key) ?? make(options);
    made.set(key, known);
    return known;
  };
}

function hoursAndMore(seconds: number): string[] {
  const minutes = Math.round(seconds / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days > 0) return [`${days}${nbsp}d`, ...(hours > 0 ? [`${hours}${nbsp}h`] : [])];
  return [`${hours}${nbsp}h`, ...(minutes % 60 > 0 ? [`${minutes % 60}${nbsp}min`] : [])];
}

/** The zone as a reader knows it: `São Paulo (UTC−3)`. */
export function zoneWords(zone: string, language: Language, now: number): string {
  const offset = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "shortOffset" })
    .formatToParts(now)
    .find((part) => part.type === "timeZoneName")!
    .value.replace("GMT", "UTC")
    .replace("-", "−");
  const city = cityOf(zone, language);
  return city === offset ? offset : `${city} (${offset})`;
}

function cityOf(zone: string, language: Language): string {
  const last = zone.split("/").at(-1)!.replaceAll("_", " ");
  const accents: Record<string, string> = {
    "Sao Paulo": "São Paulo",
    Cuiaba: "Cuiabá",
    Belem: "Belém",
    Maceio: "Maceió",
  };
  return language === "pt-BR" || last === "Sao Paulo" ? (accents[last] ?? last) : last;
}
