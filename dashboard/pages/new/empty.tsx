export function EmptyState() {
  return null;
}
