/** A tunnel as a pipe that is ordered and ended: one cloudflared for all orders, of which the last one counts. */
import type { Cloudflared, TunnelOrder } from "./cloudflared.ts";
import type { OpenPipe } from "./pipes.ts";

/** `retryMs`: after a cloudflared that could not be found or brought. */
export function createTunnelPipes(cloudflared: Cloudflared, retryMs = 60_000): (order: TunnelOrder) => OpenPipe {
  let last = 0;
  return (order) => {
    const mine = ++last;
    const isLast = () => mine === last;
    let trouble: string | null = null;
    let retry: NodeJS.Timeout | undefined;
    const begin = async () => {
      const answer = await cloudflared.run(order);
      trouble = answer.ok ? null : answer.message;
      if (!answer.ok && isLast()) retry = setTimeout(() => void begin(), retryMs).unref();
    };
    void begin();
    return {
      isOpen: () => isLast() && cloudflared.state().phase === "connected",
      trouble() {
        const { phase, tail } = cloudflared.state();
        if (!isLast() || phase === "connected") return null;
        return trouble ?? tail.at(-1) ?? "cloudflared is not connected yet";
      },
      async stop() {
        clearTimeout(retry);
        // An order that came meanwhile has taken this one's place: what runs is its own.
        if (!isLast()) return;
        last++;
        await cloudflared.stop();
      },
    };
  };
}
