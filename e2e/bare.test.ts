/** Bare machines: the onstart and the pasted line in root file systems with next to nothing in them. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startScript } from "../core/protocol/boot/start-script.ts";
import { installCommand, installScript, onstartScript } from "../core/protocol/bootstrap.ts";
import { nodeRelease } from "../core/protocol/node-release.ts";
import {
  type BareMachine,
  type BareOptions,
  makeBareMachine,
  makeTemplate,
  mayChroot,
  packNode,
} from "./testing/bare-root.ts";
import { until } from "./testing/cloud.ts";

const tarball = `node-v${nodeRelease.version}-linux-${process.arch}`;
const onMirror = `v${nodeRelease.version}/${tarball}.tar.gz`;
const sha256Of = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Beats, keeps a lock as the real one does, and ends when it is told to. */
const agent = `
import fs from "node:fs";
const home = process.env.SONECA_HOME, lock = home + "/agent.lock";
fs.appendFileSync(home + "/starts", "start\\n");
const holder = fs.existsSync(lock) ? Number(fs.readFileSync(lock, "utf8")) : 0;
if (holder) { try { process.kill(holder, 0); process.exit(6); } catch {} }
fs.writeFileSync(lock, String(process.pid));
const beat = () => fetch(process.env.SONECA_URL + "/api/agent/status", {
  method: "POST", headers: { authorization: "Bearer " + process.env.SONECA_TOKEN },
  body: JSON.stringify({ instance: process.env.SONECA_INSTANCE ?? null, workspace: process.env.DATA_DIRECTORY ?? null }),
}).catch(() => {});
beat();
setInterval(beat, 100);
`;

interface Beat {
  token: string;
  instance: string | null;
  workspace: string | null;
}

let template: string;
let node: Buffer;
let server: Server;
let url: string;
let files: Map<string, string | Buffer>;
let beats: Beat[];
const machines: BareMachine[] = [];

describe.skipIf(!mayChroot)("a bare machine (needs root and namespaces)", () => {
  beforeAll(async () => {
    template = makeTemplate();
    node = packNode(tarball);
    server = createServer(async (request, response) => {
      if (request.url === "/api/agent/status") {
        let body = "";
        for await (const chunk of request) body += chunk;
        beats.push({ token: request.headers.authorization?.slice(7) ?? "", ...JSON.parse(body) });
        return response.end("{}");
      }
      const file = files.get(request.url ?? "");
      return response.writeHead(file === undefined ? 404 : 200).end(file ?? "");
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    publishAgain();
  });

  afterEach(async () => {
    for (const machine of machines.splice(0)) await machine.remove();
    publishAgain();
  });

  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(template, { recursive: true, force: true });
  });

  function publishAgain(): void {
    beats = [];
    files = new Map<string, string | Buffer>([
      ["/agent/install.sh", installScript()],
      ["/agent/start.sh", startScript()],
      ["/agent/soneca-agent.mjs", agent],
      ["/agent/soneca-agent.mjs.sha256", `${sha256Of(agent)}  soneca-agent.mjs\n`],
      [`/mirror/${onMirror}`, node],
    ]);
  }

  function makeMachine(options?: BareOptions): BareMachine {
    const machine = makeBareMachine(template, options);
    machines.push(machine);
    writeFileSync(join(machine.root, "onstart"), onstartScript(sha256Of(installScript())));
    return machine;
  }

  const environment = (more: Record<string, string> = {}) => ({
    SONECA_URL: url,
    SONECA_TOKEN: "t.1.x",
    SONECA_INSTANCE: "i-abcdefghij",
    DATA_DIRECTORY: "/workspace",
    SONECA_NODE_MIRROR: `${url}/mirror`,
    SONECA_NODE_SHA256: sha256Of(node),
    ...more,
  });

  const logOf = (machine: BareMachine, home = "/var/lib/soneca") => machine.read(`${home}/agent.log`);
  const startsOf = (machine: BareMachine) => machine.read("/var/lib/soneca/starts").split("\n").length - 1;
  const untilLogged = (machine: BareMachine, words: string) =>
    until(`the log says: ${words}`, () => logOf(machine).includes(words), {
      withinMs: 20_000,
      everyMs: 30,
      seen: () => logOf(machine),
    });
  const untilBeat = (machine: BareMachine, home?: string) =>
    until("a heartbeat", () => beats.at(-1), { withinMs: 20_000, everyMs: 20, seen: () => logOf(machine, home) });

  it("with perl and nothing else to fetch with brings node and beats", async () => {
    const machine = makeMachine();
    machine.boot(environment(), "sh /onstart");
    expect(await untilBeat(machine)).toEqual({ token: "t.1.x", instance: "i-abcdefghij", workspace: "/workspace" });
    expect(logOf(machine)).toContain(`node ${nodeRelease.version} was brought from ${url}/mirror`);
    expect(
      machine
        .processes()
        .flatMap(({ argv }) => argv)
        .join(" "),
    ).not.toContain("t.1.x");
  });

  it("takes node from the control plane where the mirror has half of it, and nothing where both are wrong", async () => {
    files.set(`/mirror/${onMirror}`, node.subarray(0, node.length / 2));
    const machine = makeMachine();
    machine.boot(environment(), "sh /onstart");
    await untilLogged(machine, `node could not be fetched from ${url}/agent/node`);
    expect(logOf(machine)).toContain(
      `what came from ${url}/mirror is not node ${nodeRelease.version}, or only a part of it`,
    );
    await untilLogged(machine, "node 22 or newer is missing: this is tried again every 30 s");
    expect(readdirSync(join(machine.root, "var/lib/soneca")).filter((name) => name.startsWith("node"))).toEqual([]);
    await machine.halt();
    files.set(`/agent/node/${onMirror}`, node);
    machine.boot(environment(), "sh /onstart");
    await untilBeat(machine);
    expect(logOf(machine)).toContain(`was brought from ${url}/agent/node`);
  });

  it("brings its own node where there is an old one", async () => {
    const machine = makeMachine();
    writeFileSync(join(machine.root, "bin/node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    machine.boot(environment(), "sh /onstart");
    await untilBeat(machine);
  });

  it("goes on without setsid, nohup and /proc, and says what that costs", async () => {
    const machine = makeMachine({ without: ["setsid", "nohup"], hasProc: false });
    machine.boot(environment(), "sh /onstart");
    await untilBeat(machine);
    expect(logOf(machine)).toContain("there is no /proc here");
  });

  it("uses root's home where /var/lib is read-only", async () => {
    const machine = makeMachine({ mounts: "mount --bind /var/lib /var/lib; mount -o remount,ro,bind /var/lib" });
    machine.boot(environment(), "sh /onstart");
    await untilBeat(machine, "/root/.soneca-agent");
    expect(existsSync(join(machine.root, "var/lib/soneca"))).toBe(false);
  });

  it("says that the disk is too full, for node and for itself", async () => {
    const machine = makeMachine({ mounts: "mkdir /var/lib/soneca; mount -t tmpfs -o size=64m none /var/lib/soneca" });
    machine.boot(environment(), "");
    await until("it is up", () => machine.processes().length > 0);
    const small = installCommand({ url, token: "t.1.x" });
    expect((await machine.exec(small, environment())).output).toContain("the agent is starting");
    const log = async () => (await machine.exec("cat /var/lib/soneca/agent.log")).output;
    const says = "MB are free in /var/lib/soneca, and node takes 200 MB";
    await until("the log says so", async () => (await log()).includes(says));
    await machine.exec("cd /var/lib/soneca; rm start.sh; cat /opt/bare/node >filler");
    const full = await machine.exec(small, environment());
    expect(full).toMatchObject({ status: 1, output: expect.stringContaining("cannot be written, is its disk full?") });
  });

  it("runs once, however often the line is pasted, and again when the container starts again", async () => {
    const machine = makeMachine();
    machine.boot({}, "");
    await until("it is up", () => machine.processes().length > 0);
    writeFileSync(join(machine.root, "root/onstart.sh"), "#!/bin/bash\necho theirs >/theirs\nsleep 3600\n", {
      mode: 0o700,
    });
    const { SONECA_URL: _, SONECA_TOKEN: __, ...given } = environment();
    const line = installCommand({ url: `${url}/`, token: "it's.a.token" });
    const [first, second] = [await machine.exec(line, given), await machine.exec(line, given)];
    expect(first).toMatchObject({ status: 0, output: expect.stringContaining("/root/onstart.sh starts the agent") });
    expect(second.status).toBe(0);
    expect((await untilBeat(machine)).token).toBe("it's.a.token");
    await untilLogged(machine, "the loop of this home runs already");
    expect(startsOf(machine)).toBe(1);
    const onstart = machine.read("root/onstart.sh").split("\n");
    expect(onstart[0]).toBe("#!/bin/bash");
    expect(onstart.filter((text) => text.includes("/var/lib/soneca/start.sh"))).toEqual([onstart[1]]);
    expect(onstart.slice(2).join("\n")).toBe("echo theirs >/theirs\nsleep 3600\n");
    expect(statSync(join(machine.root, "root/onstart.sh")).mode & 0o777).toBe(0o700);

    await machine.halt();
    // The control plane serves nothing at the moment, and this environment knows nothing: what is kept has to do.
    files.clear();
    beats = [];
    machine.boot({ CONTAINER_ID: "7" }, "sh /root/onstart.sh");
    expect(await untilBeat(machine)).toMatchObject({ token: "it's.a.token", workspace: "/workspace" });
    expect(startsOf(machine)).toBe(2);
  });

  it("is installed by a user who is not root, and says that nothing starts it again", async () => {
    const machine = makeMachine({ user: 1000 });
    machine.boot({}, "");
    await until("it is up", () => machine.processes().length > 0);
    const ran = await machine.exec(installCommand({ url, token: "t.1.x" }), environment({ HOME: "/tmp" }));
    expect(ran.output).toContain("nothing here starts programs when the machine starts again");
    await untilBeat(machine, "/tmp/.soneca-agent");
    expect(statSync(join(machine.root, "tmp/.soneca-agent")).uid).toBe(1000);
  });

  it("arranges a restart with systemd, then with cron, where there is no onstart", async () => {
    const machine = makeMachine();
    machine.boot({}, "");
    await until("it is up", () => machine.processes().length > 0);
    const tell = (name: string, text: string) => writeFileSync(join(machine.root, "bin", name), text, { mode: 0o755 });
    tell("crontab", '#!/bin/sh\nif [ "$1" = -l ]; then cat /cron; else cat >/cron.new; mv /cron.new /cron; fi\n');
    writeFileSync(join(machine.root, "cron"), "0 * * * * theirs\n");
    const line = installCommand({ url, token: "t.1.x" });
    expect((await machine.exec(line, environment())).output).toContain("where cron runs");
    await machine.exec(line, environment());
    const cron = machine.read("cron").trim().split("\n");
    expect(cron).toEqual(["0 * * * * theirs", expect.stringMatching(/^@reboot .*start\.sh' # soneca-agent$/)]);
    mkdirSync(join(machine.root, "run/systemd/system"), { recursive: true });
    mkdirSync(join(machine.root, "etc/systemd/system"), { recursive: true });
    tell("systemctl", "#!/bin/sh\necho $* >>/systemctl\n");
    expect((await machine.exec(line, environment())).output).toContain("the unit soneca-agent.service");
    expect(machine.read("systemctl")).toBe("daemon-reload\nenable soneca-agent.service\n");
    expect(machine.read("etc/systemd/system/soneca-agent.service")).toContain(
      "ExecStart=/bin/sh /var/lib/soneca/start.sh",
    );
  });

  it("says what to install where nothing can fetch", async () => {
    const machine = makeMachine({ hasPerl: false });
    machine.boot(environment(), "sh /onstart");
    await untilLogged(machine, "install ca-certificates and one of curl, wget, python3 and openssl");
    expect((await machine.exec(installCommand({ url, token: "t" }))).output).toContain("could not be fetched");
  });
});
