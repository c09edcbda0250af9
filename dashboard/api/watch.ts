/**
 * Holds the WebSocket of the instance that is looked at, and puts what it tells where queries find it. When it breaks the
 * query's own slow asking goes on, and it is opened again, later and later.
 */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { InstanceView } from "../../core/protocol/views.ts";
import { instanceQuery } from "./queries.ts";

const longestWaitMs = 30_000;
/** Pings are answered without waking the object; two without an answer, and the line is dead. */
const pingEveryMs = 20_000;

/** Whether changes are told as they happen. */
export function useWatch(id: string): boolean {
  const queries = useQueryClient();
  const [isLive, setIsLive] = useState(false);
  useEffect(() => {
    const address = new URL(`/api/instances/${id}/watch`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    /** The one that counts: what others still say, or their end, concerns nobody. */
    let current: { end: () => void } | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let tries = 0;

    const open = () => {
      const mine = openLine(address, {
        onWords: (data) => {
          if (current !== mine) return;
          if (data === "pong") return;
          tries = 0;
          setIsLive(true);
          const message = readMessage(data);
          if (message) queries.setQueryData(instanceQuery(id).queryKey, message);
        },
        onEnd: () => {
          if (current !== mine) return;
          leave();
          timer = setTimeout(open, Math.min(longestWaitMs, 500 * 2 ** tries++) * (0.5 + Math.random() / 2));
        },
      });
      current = mine;
    };
    const leave = () => {
      clearTimeout(timer);
      const left = current;
      current = null;
      left?.end();
      setIsLive(false);
    };
    // In the background nobody looks: the machine need not report more often.
    const look = () => {
      if (document.visibilityState === "hidden") return leave();
      if (current) return;
      clearTimeout(timer);
      tries = 0;
      open();
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      leave();
    };
  }, [id, queries]);
  return isLive;
}

/** One socket with its own pings. `end`: nothing more is sent. */
function openLine(address: URL, { onWords, onEnd }: { onWords: (data: unknown) => void; onEnd: () => void }) {
  const socket = new WebSocket(address);
  let heardAt = Date.now();
  const pings = setInterval(() => {
    if (Date.now() - heardAt > 2.5 * pingEveryMs) socket.close();
    else if (socket.readyState === WebSocket.OPEN) socket.send("ping");
  }, pingEveryMs);
  socket.onmessage = ({ data }) => {
    heardAt = Date.now();
    onWords(data);
  };
  socket.onclose = () => {
    clearInterval(pings);
    onEnd();
  };
  const end = () => {
    clearInterval(pings);
    // One that is still being opened complains when it is closed.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  };
  return { end };
}

function readMessage(data: unknown): InstanceView | null {
  try {
    const message = JSON.parse(String(data)) as { type?: string; instance?: InstanceView };
    return message.type === "instance" ? (message.instance ?? null) : null;
  } catch {
    return null;
  }
}
