import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createJupyterSensor, isServer, type JupyterSensorOptions } from "./jupyter.ts";

let folder: string;
let server: Server;
let answer: RequestListener;
let asked: { url: string | undefined; authorization: string | undefined }[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "soneca-jupyter-"));
  asked = [];
  answer = say([]);
  server = createServer((request, response) => {
    asked.push({ url: request.url, authorization: request.headers.authorization });
    answer(request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  rmSync(folder, { recursive: true, force: true });
});

const say = (value: unknown, status = 200): RequestListener => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return (_request, response) => response.writeHead(status, { "content-type": "application/json" }).end(text);
};
const kernel = (change: object = {}) => ({
  id: "c0ffee00-1111-2222-3333-444455556666",
  name: "python3",
  last_activity: new Date(Date.now() - 3_600_000).toISOString(),
  execution_state: "idle",
  connections: 1,
  ...change,
});
/** The file that a server of this very process would leave. */
const putServer = (change: object = {}, name = `jpserver-${process.pid}.json`) => {
  const { port } = server.address() as AddressInfo;
  const info = { base_url: "/", hostname: "localhost", password: false, pid: process.pid, port, secure: false };
  const rest = { root_dir: "/workspace", sock: "", token: "s3cret", url: "", version: "2.14.0" };
  writeFileSync(join(folder, name), JSON.stringify({ ...info, ...rest, ...change }));
};
const sensorOf = (options: Partial<JupyterSensorOptions> = {}) =>
  createJupyterSensor({ env: {}, folders: () => [folder], findServers: () => [], timeoutMs: 300, ...options });
const read = async (options: Partial<JupyterSensorOptions> = {}) => (await sensorOf(options).read()).jupyter!;

describe("busy kernels", () => {
  it("are counted, with the server's own token and address", async () => {
    putServer({ base_url: "/lab" });
    answer = say([kernel(), kernel({ id: "beef", execution_state: "busy" }), kernel({ execution_state: "dead" })]);
    expect(await read()).toEqual({ value: 1, detail: "python3 beef" });
    expect(asked).toEqual([{ url: "/lab/api/kernels", authorization: "token s3cret" }]);
  });

  it("are none where all are idle, where there is no kernel, and where there is no server", async () => {
    expect(await read()).toEqual({ value: 0 });
    putServer();
    expect(await read()).toEqual({ value: 0, detail: "1 server(s)" });
    answer = say([kernel()]);
    expect(await read()).toEqual({ value: 0, detail: "1 server(s)" });
  });

  it.each(["starting", "restarting", "autorestarting", "unknown", "a state of later"])("%s is busy", async (state) => {
    putServer();
    answer = say([kernel({ execution_state: state })]);
    expect((await read()).value).toBe(1);
  });

  it("one that worked between two looks was busy", async () => {
    putServer();
    let at = Date.now() - 60_000;
    const sensor = sensorOf({ wallNow: () => at });
    answer = say([kernel()]);
    expect((await sensor.read()).jupyter!.value).toBe(0);
    answer = say([kernel({ last_activity: new Date(at + 20_000).toISOString() })]);
    at += 30_000;
    expect((await sensor.read()).jupyter!.value).toBe(1);
    at += 30_000;
    expect((await sensor.read()).jupyter!.value).toBe(0);
  });

  it("an old notebook server is asked too, without a token where it has none", async () => {
    putServer({ token: "" }, `nbserver-${process.pid}.json`);
    answer = say([kernel({ execution_state: "busy" })]);
    expect((await read()).value).toBe(1);
    expect(asked[0]!.authorization).toBeUndefined();
  });
});

describe("I12: what is odd is not known, and never quiet", () => {
  it.each<[string, RequestListener, RegExp]>([
    ["hangs", () => {}, /no answer within 0.3 s/],
    [
      "stops half way",
      (_request, response) => void response.writeHead(200, { "content-length": "99" }).write("["),
      /no answer/,
    ],
    ["refuses the token", say({ message: "Forbidden" }, 403), /HTTP 403/],
    ["sends somewhere else", say("", 302), /HTTP 302/],
    ["breaks", say("oops", 500), /HTTP 500/],
    ["talks no JSON", say("<html>"), /JSON/],
    ["gives no list", say({ kernels: [] }), /no list of kernels/],
    ["leaves out the state", say([{ ...kernel(), execution_state: undefined }]), /no list of kernels/],
    ["gives no time", say([kernel({ last_activity: "yesterday-ish" })]), /no list of kernels/],
    ["never ends", (_request, response) => response.end("x".repeat(2_000_000)), /too large|aborted|reset/],
    ["closes the line", (request) => request.socket.destroy(), /hang up|reset/],
  ])("a server that %s", async (_what, how, words) => {
    putServer();
    answer = how;
    const reading = await read();
    expect(reading.value).toBeNull();
    expect(reading.detail).toMatch(words);
  });

  it.each<[string, () => void, RegExp]>([
    ["is no JSON", () => writeFileSync(join(folder, `jpserver-${process.pid}.json`), "{"), /JSON/],
    ["says no port", () => putServer({ port: "many" }), /does not say how/],
    ["names a port where nobody listens", () => putServer({ port: 1 }), /ECONNREFUSED/],
    ["names another machine", () => putServer({ hostname: "203.0.113.9" }), /not on this machine/],
  ])("a file that %s", async (_what, put, words) => {
    put();
    expect(await read()).toMatchObject({ value: null, detail: expect.stringMatching(words) });
    expect(asked).toEqual([]);
  });

  it("a process that looks like a server and left no file", async () => {
    expect(await read({ findServers: () => [{ pid: 4711, folders: [] }] })).toMatchObject({ value: null });
    putServer();
    expect(await read({ findServers: () => [{ pid: process.pid, folders: [] }] })).toMatchObject({ value: 0 });
  });

  it("a quiet server beside one that cannot be asked", async () => {
    putServer();
    let other: ChildProcess | undefined;
    try {
      other = spawn("sleep", ["30"]);
      putServer({ pid: other.pid, port: 1 }, `jpserver-${other.pid}.json`);
      answer = say([kernel()]);
      expect((await read()).value).toBeNull();
    } finally {
      other?.kill();
    }
  });
});

it("files that a server left behind say nothing", async () => {
  putServer({ pid: 4_000_000, port: 1 }, "jpserver-4000000.json");
  // The pid was given to a process that began long after the file was written.
  putServer({ port: 1 });
  utimesSync(join(folder, `jpserver-${process.pid}.json`), 1_000_000, 1_000_000);
  expect(await read()).toEqual({ value: 0 });
});

it("while the agent itself holds all still, nothing runs and nobody is asked", async () => {
  putServer();
  answer = () => {};
  expect(await read({ isStill: () => true })).toMatchObject({ value: 0 });
  expect(asked).toEqual([]);
  // It is stopped while it is asked.
  let looks = 0;
  expect(await read({ isStill: () => looks++ > 0 })).toMatchObject({ value: 0 });
});

it("finds a server by its process, and the folder by its environment", { timeout: 20_000 }, async () => {
  const env = { PATH: process.env.PATH, JUPYTER_RUNTIME_DIR: folder };
  const child = spawn("sleep", ["30"], { argv0: "/opt/conda/bin/jupyter-lab", env });
  try {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const look = { env: {}, folders: () => [], timeoutMs: 300 };
    expect((await createJupyterSensor(look).read()).jupyter).toMatchObject({ value: null });
    putServer({ pid: child.pid }, `jpserver-${child.pid}.json`);
    answer = say([kernel({ execution_state: "busy" })]);
    expect((await createJupyterSensor(look).read()).jupyter).toMatchObject({ value: 1 });
  } finally {
    child.kill("SIGKILL");
  }
});

it("knows a server from a kernel, an editor or a question", () => {
  expect(isServer(["/usr/bin/python3", "/usr/local/bin/jupyter-lab", "--ip=0.0.0.0"])).toBe(true);
  expect(isServer(["python", "-m", "jupyterlab"])).toBe(true);
  expect(isServer(["/opt/bin/jupyter-notebook"])).toBe(true);
  expect(isServer(["python", "-m", "ipykernel_launcher", "-f", "kernel.json"])).toBe(false);
  expect(isServer(["vi", "a", "b", "jupyter-lab"])).toBe(false);
  expect(isServer(["vi", "jupyter-lab"])).toBe(false);
});

it.each([
  "python3 /opt/conda/bin/jupyter-lab",
  "/usr/bin/python3.12 -u -I /usr/local/bin/jupyter-server --port 1",
  "python -X dev -W ignore /usr/bin/jupyterhub-singleuser",
  "pypy3 -m notebook",
  "python -u -m jupyter_server --ip 0.0.0.0",
  "python -Im jupyterlab",
  "jupyter-lab",
])("%s is a server", (line) => expect(isServer(line.split(" "))).toBe(true));

it.each([
  "sudo jupyter-lab --allow-root",
  "sudo -u jovyan /opt/conda/bin/jupyter-lab",
  "tini -- jupyter-lab",
  "/usr/bin/tini -g -- start.sh jupyter-lab",
  "dumb-init jupyter-lab",
  "timeout 3600 jupyter-lab",
  "script -c jupyter-lab",
  "/bin/sh /usr/bin/xvfb-run jupyter-lab",
  "/bin/bash /usr/local/bin/start-notebook.sh jupyter-lab",
  "bash -c jupyter-lab",
  "python /opt/conda/bin/conda run jupyter-lab",
  "python -c code jupyter-lab",
  "python -m supervisor jupyter-lab",
])("%s only starts one, and says nowhere how to ask it", (line) => {
  expect(isServer(line.split(" "))).toBe(false);
});
