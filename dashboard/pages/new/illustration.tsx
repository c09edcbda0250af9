/** The one scene: a chip under a blanket. */
export function Illustration() {
  return (
    <svg className="illo" viewBox="0 0 440 400" fill="none" aria-hidden="true">
      <circle cx="220" cy="196" r="168" fill="var(--night-soft)" />
      <path d="M286 66a38 38 0 0 0 64 26 44 44 0 0 1-64-26z" transform="rotate(38 316 86)" fill="var(--lamp)" />
      <g fill="var(--ink)" opacity=".35">
        <circle cx="122" cy="96" r="2.2" />
        <circle cx="168" cy="62" r="1.6" />
        <circle cx="92" cy="158" r="1.6" />
        <circle cx="258" cy="92" r="1.6" />
        <circle cx="352" cy="164" r="2.2" />
      </g>
      <path d="M178 140v-18M220 140v-18M262 140v-18" stroke="var(--mark)" strokeWidth="13" strokeLinecap="round" />
      <rect x="138" y="140" width="164" height="152" rx="34" fill="var(--mark)" />
      <path
        d="M170 202a18 18 0 0 0 34 0M236 202a18 18 0 0 0 34 0"
        stroke="var(--mark-eye)"
        strokeWidth="6"
        strokeLinecap="round"
      />
      <g stroke="var(--ink)" strokeWidth="4" strokeLinejoin="round">
        <path d="M108 282q0-30 30-30h164q30 0 30 30v42q0 12-12 12H120q-12 0-12-12z" fill="var(--surface)" />
        <path d="M108 286q0-34 30-34h164q30 0 30 34-28-12-56 0t-56 0-56 0-56 0z" fill="var(--lamp)" />
      </g>
      <path
        d="M164 336c-4-14-3-24 2-32M276 336c4-14 3-24-2-32"
        stroke="var(--line-control)"
        strokeWidth="2.5"
        strokeLinecap="round"
      />
      <path d="M64 336h312" stroke="var(--ink)" strokeWidth="4" strokeLinecap="round" />
      <g stroke="var(--night-text)" strokeWidth="3.5" strokeLinecap="round" strokeLinejoin="round">
        <path d="M322 128h14l-14 17h14" />
        <path d="M350 100h10l-10 12h10" opacity=".7" />
      </g>
    </svg>
  );
}
