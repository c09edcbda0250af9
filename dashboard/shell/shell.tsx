/** What stands around every page: the rail, the money, language and theme. */
import { ChartColumn, Cpu, Monitor, Moon, SlidersHorizontal, Sun } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import { useReader } from "../i18n/context.tsx";
import { zoneWords } from "../i18n/format.ts";
import { Mark } from "../parts/mark.tsx";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { useNow } from "../ui/now.ts";
import { Meter } from "./meter.tsx";
import { themes, useTheme } from "./theme.ts";

interface Props {
  user: string;
  count: number | null;
  /** The page's name, with the way to it. */
  crumb: ReactNode;
  /** The page itself shows the money, until it is scrolled away. */
  hidesMeter?: boolean;
  children: ReactNode;
}

export function Shell({ user, count, crumb, hidesMeter, children }: Props) {
  const { t, language, setLanguage } = useReader();
  const isRepeated = useIsInView(".kpis", hidesMeter ?? false);
  return (
    <>
      <a className="skip" href="#main">
        {t.common.skip}
      </a>
      <div className="app">
        <aside className="rail">
          <Link href="/" className="brand" aria-label="soneca">
            <Mark />
            <span className="t">soneca</span>
          </Link>
          <Nav count={count} />
          <Footer user={user} />
        </aside>
        <div>
          <header className={`top${hidesMeter ? " no-meter" : ""}${isRepeated ? " repeats" : ""}`}>
            <div className="crumb">
              <span className="only-s">
                <Mark />
              </span>
              {crumb}
            </div>
            <Meter />
            <div className="tools">
              <Button
                tone="ghost"
                className="lang"
                aria-label={t.common.language.label}
                onClick={() => setLanguage(language === "en" ? "pt-BR" : "en")}
              >
                {t.common.language.short}
              </Button>
              <ThemeButton />
            </div>
          </header>
          <main className="page" id="main" tabIndex={-1}>
            {children}
          </main>
        </div>
      </div>
    </>
  );
}

/** Whether what stands there is seen now. */
function useIsInView(selector: string, isWanted: boolean): boolean {
  const [isInView, setIsInView] = useState(isWanted);
  useEffect(() => {
    const place = document.querySelector(selector);
    if (!isWanted || !place) return setIsInView(false);
    const observer = new IntersectionObserver(([entry]) => setIsInView(entry?.isIntersecting ?? false), {
      rootMargin: "-64px 0px 0px",
    });
    observer.observe(place);
    return () => observer.disconnect();
  }, [selector, isWanted]);
  return isInView;
}

function Nav({ count }: { count: number | null }) {
  const { t } = useReader();
  const [path] = useLocation();
  const rows = [
    { href: "/", icon: Cpu, word: t.common.nav.instances, isHere: path === "/" || path.startsWith("/i/"), count },
    {
      href: "/savings",
      icon: ChartColumn,
      word: t.common.nav.savings,
      isHere: path.startsWith("/savings"),
      count: null,
    },
    {
      href: "/settings",
      icon: SlidersHorizontal,
      word: t.common.nav.settings,
      isHere: path.startsWith("/settings"),
      count: null,
    },
  ];
  return (
    <nav className="nav" aria-label={t.common.nav.label}>
      {rows.map(({ href, icon, word, isHere, count: rowCount }) => (
        <Link key={href} href={href} aria-current={isHere ? "page" : undefined}>
          <Icon of={icon} />
          <span className="t">{word}</span>
          {rowCount !== null && <span className="cnt">{rowCount}</span>}
        </Link>
      ))}
    </nav>
  );
}

function Footer({ user }: { user: string }) {
  const { t, f, language, zone } = useReader();
  const now = useNow(10_000);
  const clock = f.clock(now).slice(0, 5);
  return (
    <div className="rail-foot">
      <b>{user}</b>
      {t.common.clockOf(clock, zoneWords(zone, language, now))}
    </div>
  );
}

const themeIcons = { system: Monitor, light: Sun, dark: Moon };

function ThemeButton() {
  const { t } = useReader();
  const [theme, setTheme] = useTheme();
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]!;
  return (
    <Button
      tone="ghost"
      isIcon
      aria-label={`${t.common.theme.label}: ${t.common.theme[theme]}`}
      title={`${t.common.theme.label}: ${t.common.theme[theme]}`}
      onClick={() => setTheme(next)}
    >
      <Icon of={themeIcons[theme]} />
    </Button>
  );
}
