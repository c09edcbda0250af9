/** Headers of one connection alone (RFC 9110, 7.6.1): every leg of a request's way has its own. */
export const hopByHop: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** Of a WebSocket's handshake, where each leg makes one of its own. */
export const handshakeHeaders: readonly string[] = [
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-accept",
  "sec-websocket-extensions",
];
