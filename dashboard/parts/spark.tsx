/** The last minutes of use: a line where there are readings, nothing where there are none, dots where they have stopped coming. */
import type { Tone } from "./status.tsx";

const width = 84;
const height = 26;

export function Spark({ use, tone, isSilent }: { use: readonly (number | null)[]; tone: Tone; isSilent?: boolean }) {
  const step = width / Math.max(1, use.length - 1);
  const y = (value: number) => height - 2 - (Math.min(100, value) / 100) * (height - 4);
  const runs: string[][] = [[]];
  use.forEach((value, i) => {
    if (value === null) {
      if (runs.at(-1)!.length > 0) runs.push([]);
    } else runs.at(-1)!.push(`${(i * step).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  const lines = runs.filter((run) => run.length > 0);
  const last = use.findLastIndex((value) => value !== null);
  const colour = `var(--${isSilent ? "gone" : tone})`;
  return (
    <svg className="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path d={`M0 ${height - 1}H${width}`} stroke="var(--line)" />
      {lines.map((run) => {
        const first = run[0]!.split(" ")[0]!;
        const end = run.at(-1)!.split(" ")[0]!;
        const line = run.length === 1 ? `M${run[0]}h1` : `M${run.join("L")}`;
        return (
          <g key={first}>
            {!isSilent && run.length > 1 && (
              <path d={`M${run.join("L")}L${end} ${height - 1}L${first} ${height - 1}z`} fill={colour} opacity=".14" />
            )}
            <path d={line} fill="none" stroke={colour} strokeWidth="1.5" strokeLinejoin="round" strokeLinecap="round" />
          </g>
        );
      })}
      {isSilent && last < use.length - 1 && (
        <path
          d={`M${(Math.max(0, last) * step).toFixed(1)} ${height / 2}H${width}`}
          stroke="var(--idle)"
          strokeWidth="1.5"
          strokeDasharray="1 4"
          strokeLinecap="round"
        />
      )}
    </svg>
  );
}
