/** A chip that sleeps. */
export function Mark() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" className="mark">
      <g stroke="var(--mark)" strokeWidth="1.4" strokeLinecap="round">
        <path d="M5.1 1.2v1.8M8 1.2v1.8M10.9 1.2v1.8M5.1 13v1.8M8 13v1.8M10.9 13v1.8" />
      </g>
      <rect x="1.5" y="2.6" width="13" height="10.8" rx="3.4" fill="var(--mark)" />
      <path
        d="M3.9 7.2a1.6 1.6 0 0 0 3 0M9.1 7.2a1.6 1.6 0 0 0 3 0"
        fill="none"
        stroke="var(--mark-eye)"
        strokeWidth="1.15"
        strokeLinecap="round"
      />
    </svg>
  );
}
