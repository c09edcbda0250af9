export function InstancePage({ id }: { id: string }) {
  return <p>{id}</p>;
}
