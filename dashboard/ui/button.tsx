import type { ButtonHTMLAttributes } from "react";

export type Tone = "plain" | "lamp" | "night" | "ink" | "ghost" | "danger";

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: Tone;
  isBig?: boolean;
  isIcon?: boolean;
  /** Something is on its way: it cannot be pressed again, and keeps its focus. */
  isBusy?: boolean;
}

export function Button({ tone = "plain", isBig, isIcon, isBusy, className, type = "button", onClick, ...rest }: Props) {
  const names = ["btn", tone === "plain" ? "" : tone, isBig ? "big" : "", isIcon ? "icon" : "", className ?? ""];
  return (
    <button
      {...rest}
      type={type}
      className={names.filter(Boolean).join(" ")}
      aria-busy={isBusy || undefined}
      aria-disabled={isBusy || undefined}
      onClick={isBusy ? (event) => event.preventDefault() : onClick}
    />
  );
}
