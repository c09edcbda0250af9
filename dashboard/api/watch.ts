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
    let socket: WebSocket | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let pings: ReturnType<typeof setInterval> | undefined;
    let tries = 0;
    let isOver = false;
    let heardAt = 0;

    const open = () => {
      if (isOver) return;
      const address = new URL(`/api/instances/${id}/watch`, location.href);
      address.protocol = address.protocol.replace("http", "ws");
      socket = new WebSocket(address);
      socket.onmessage = ({ data }) => {
        heardAt = Date.now();
        if (data === "pong") return;
        tries = 0;
        setIsLive(true);
        const message = readMessage(data);
        if (message) queries.setQueryData(instanceQuery(id).queryKey, message);
      };
      socket.onclose = () => {
        setIsLive(false);
        clearInterval(pings);
        if (isOver) return;
        timer = setTimeout(open, Math.min(longestWaitMs, 500 * 2 ** tries++) * (0.5 + Math.random() / 2));
      };
      heardAt = Date.now();
      pings = setInterval(() => {
        if (Date.now() - heardAt > 2.5 * pingEveryMs) socket?.close();
        else if (socket?.readyState === WebSocket.OPEN) socket.send("ping");
      }, pingEveryMs);
    };

    // In the background nobody looks: the machine need not report more often.
    const look = () => {
      if (document.visibilityState === "hidden") socket?.close();
      else if (!socket || socket.readyState > WebSocket.OPEN) {
        clearTimeout(timer);
        tries = 0;
        open();
      }
    };
    open();
    document.addEventListener("visibilitychange", look);
    return () => {
      isOver = true;
      document.removeEventListener("visibilitychange", look);
      clearTimeout(timer);
      clearInterval(pings);
      // One that is still being opened complains when it is closed.
      if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket?.close();
      else socket?.close();
    };
  }, [id, queries]);
  return isLive;
}

function readMessage(data: unknown): InstanceView | null {
  try {
    const message = JSON.parse(String(data)) as { type?: string; instance?: InstanceView };
    return message.type === "instance" ? (message.instance ?? null) : null;
  } catch {
    return null;
  }
}
