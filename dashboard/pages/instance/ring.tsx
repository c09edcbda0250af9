/** The lid: an eye that closes while the countdown runs, in a ring that says how much of it is left. */

interface Props {
  /** 1 to 0 of the countdown; null: none runs, and the ring shows `level` of use. */
  left: number | null;
  level: number | null;
  big: string;
  small: string;
}

const around = 2 * Math.PI * 79;

export function Ring({ left, level, big, small }: Props) {
  // From just above the eye down over all of it.
  const lid = 16 + (1 - (left ?? 1)) * 118;
  const share = left ?? level ?? 0;
  const colour = left === null ? "var(--run)" : "var(--idle)";
  return (
    <div className="ring">
      <div className="ringbox">
        <svg viewBox="0 0 172 172" aria-hidden="true">
          <defs>
            <clipPath id="eye">
              <circle cx="86" cy="86" r="64" />
            </clipPath>
          </defs>
          <circle cx="86" cy="86" r="64" fill="var(--lamp)" opacity=".30" />
          {left !== null && (
            <path d={`M20 0H152V${lid}Q86 ${lid + 34} 20 ${lid}z`} fill="var(--lid)" clipPath="url(#eye)" />
          )}
          <circle cx="86" cy="86" r="79" fill="none" stroke="var(--ink)" strokeOpacity=".10" strokeWidth="7" />
          {share > 0 && (
            <circle
              cx="86"
              cy="86"
              r="79"
              fill="none"
              stroke={colour}
              strokeWidth="7"
              strokeLinecap="round"
              strokeDasharray={`${share * around} ${around}`}
              transform="rotate(-90 86 86)"
            />
          )}
        </svg>
        <div>
          <b>{big}</b>
          <span>{small}</span>
        </div>
      </div>
    </div>
  );
}
