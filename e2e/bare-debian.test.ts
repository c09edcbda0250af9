/**
 * A Debian with nothing but what debootstrap's `minbase` brings, in namespaces of its own, against a real local cloud:
 * from the pasted line to the first heartbeat, a new agent, one that does not work, and the way out. Slow: it fetches a
 * Debian with `debootstrap`, so it is run by `npm run test:slow` alone, as root, where Debian's packages can be had.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startScript } from "../core/protocol/boot/start-script.ts";
import { installScript, onstartScript } from "../core/protocol/bootstrap.ts";
import { nodeTarballPath } from "../core/protocol/node-release.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import { type BareMachine, makeBareMachine, mayChroot } from "./testing/bare-root.ts";
import { Instance, listMachines, quick, startTestCloud, type TestCloud, until } from "./testing/cloud.ts";

const hasDebootstrap = spawnSync("debootstrap", ["--version"]).status === 0;
const path = nodeTarballPath(process.arch)!;
const sha256Of = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
const machines: BareMachine[] = [];
const shell = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
const doctor = "/var/lib/soneca/soneca-agent doctor";
let folder: string;
let debian: string;
let node: Buffer;
let mirror: Server;
let test: TestCloud;

describe.skipIf(!process.env.SONECA_SLOW || !mayChroot || !hasDebootstrap)(
  "a bare Debian (npm run test:slow, root, debootstrap)",
  () => {
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "soneca-debian-"));
      debian = join(folder, "debian");
      const made = spawnSync("debootstrap", ["--variant=minbase", "bookworm", debian], { encoding: "utf8" });
      if (made.status !== 0) throw new Error(`debootstrap: ${made.stdout.slice(-2000)}${made.stderr}`);
      mkdirSync(join(debian, "workspace"));
      node = packRealNode();
      mirror = createServer((request, response) =>
        request.url === `/${path}` ? response.end(node) : response.writeHead(404).end(),
      );
      await new Promise<void>((done) => mirror.listen(0, "127.0.0.1", done));
      const nodeMirror = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`;
      test = await startTestCloud({ nodeMirror });
    }, 600_000);

    afterEach(async () => {
      for (const machine of machines.splice(0)) await machine.remove();
    });

    afterAll(async () => {
      await test?.end();
      mirror?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    function makeDebian(): BareMachine {
      const machine = makeBareMachine(debian);
      machines.push(machine);
      return machine;
    }

    /** One that is rented already, and the line that manages it. */
    async function adopt(): Promise<{ instance: Instance; line: string; container: string }> {
      const { cloud } = test;
      const { offers } = await cloud.vastLocal<{ offers: { id: number }[] }>("POST", "/api/v0/bundles/", {});
      const order = { client_id: "me", image: "debian:bookworm-slim", disk: 32, runtype: "ssh", env: {} };
      const made = await cloud.vastLocal<{ new_contract: number }>("PUT", `/api/v0/asks/${offers[0]!.id}/`, order);
      await until("it runs", async () =>
        (await listMachines(cloud)).some((one) => one.id === made.new_contract && one.status === "running"),
      );
      const body = { vast_instance_id: made.new_contract, auto_hibernation: { ...quick, enabled: false } };
      const answer = await cloud.api<{ instance: InstanceView; install_command: string }>(
        "POST",
        "/api/instances/adopt",
        body,
      );
      expect(answer.status).toBe(201);
      const { instance, install_command } = answer.body;
      return { instance: new Instance(cloud, instance.id), line: install_command, container: `${made.new_contract}` };
    }

    it("from the line to the first heartbeat, to a new agent, back from a bad one, and away again", async () => {
      const { instance, line, container } = await adopt();
      const machine = makeDebian();
      // Nothing but the control plane can be reached: node comes through it. Its sum is that of this test's own tarball.
      const env = {
        ...shell,
        CONTAINER_ID: container,
        SONECA_NODE_SHA256: sha256Of(node),
        SONECA_NODE_MIRROR: "http://127.0.0.1:9",
      };
      machine.boot(env, "");
      await until("it is up", () => machine.processes().length > 0);
      writeFileSync(join(machine.root, "root/onstart.sh"), "#!/bin/bash\nsleep 1\n", { mode: 0o700 });
      for (const name of ["node", "curl", "wget", "python3", "openssl"])
        expect((await machine.exec(`command -v ${name}`, shell)).status).not.toBe(0);

      const startedAt = performance.now();
      const ran = await machine.exec(line, env);
      expect(ran).toMatchObject({ status: 0, output: expect.stringContaining("/root/onstart.sh starts the agent") });
      await instance.until("it reports", (view) => view.last_report_at !== null);
      process.stdout.write(`bare Debian to the first heartbeat: ${Math.round(performance.now() - startedAt)} ms\n`);
      expect(machine.read("var/lib/soneca/agent.log")).toContain(`was brought from ${test.cloud.url}/agent/node`);

      const looked = await machine.exec(doctor, shell);
      expect(looked.output).toMatch(/ok {4}control plane/);
      expect(looked.output).toMatch(/ok {4}admission/);
      expect(looked.output).toMatch(/warn {2}TLS roots/);
      expect(looked.output).toMatch(/warn {2}nvidia-smi: nvidia-smi is not installed/);
      expect(looked.status).toBe(0);

      // The next deployment brings another agent.
      await serve((agent) => appendFileSync(agent, "\n// another one\n"));
      await instance.eventsUpTo("agent_updated");
      // And one that does not start.
      await serve((agent) => writeFileSync(agent, "throw new Error('this agent is broken');\n"));
      const events = await instance.eventsUpTo("agent_rolled_back");
      const told = events.find((one) => one.event_type === "agent_rolled_back");
      expect(told?.params.message).toBe("ended 3 times before it had reported");
      expect((await machine.exec(doctor, shell)).output).toContain("1 builds did not work here");
      const lastReport = async () => Date.parse((await instance.view()).last_report_at ?? "");
      const before = await lastReport();
      await until("it goes on reporting", async () => (await lastReport()) > before);

      // The container starts again: the environment of the line is not there any more.
      await machine.halt();
      const asleep = await lastReport();
      machine.boot({ ...shell, CONTAINER_ID: container }, "sh /root/onstart.sh");
      await until("it reports again", async () => (await lastReport()) > asleep);

      writeFileSync(join(machine.root, "workspace/work"), "mine");
      const gone = await machine.exec("/var/lib/soneca/soneca-agent uninstall", shell);
      expect(gone).toMatchObject({ status: 0, output: expect.stringContaining("/var/lib/soneca is removed") });
      expect(existsSync(join(machine.root, "var/lib/soneca"))).toBe(false);
      expect(machine.read("root/onstart.sh")).toBe("#!/bin/bash\nsleep 1\n");
      expect(machine.read("workspace/work")).toBe("mine");
      expect(machine.processes().filter(({ argv }) => argv.join(" ").includes("soneca"))).toEqual([]);
    }, 300_000);

    it.each(["python3", "curl"])(
      "with %s alone and no certificates, from a server that only its sum vouches for",
      async (tool) => {
        const machine = makeDebian();
        const env = { ...process.env, ...shell, DEBIAN_FRONTEND: "noninteractive" };
        const argv = [
          machine.root,
          "sh",
          "-c",
          `apt-get -qq update && apt-get -qq install -y --no-install-recommends ${tool} && rm -rf /etc/ssl/certs /usr/bin/openssl`,
        ];
        const installed = spawnSync("chroot", argv, { env, encoding: "utf8", timeout: 200_000 });
        if (installed.status !== 0) throw new Error(`${installed.stdout}${installed.stderr}`);
        const { url, certificate, beats, close } = await startTlsPlane();
        writeFileSync(join(machine.root, "onstart"), onstartScript(sha256Of(installScript())));
        writeFileSync(join(machine.root, "root.pem"), certificate);
        writeFileSync(join(machine.root, "etc/hosts"), "127.0.0.1 localhost\n");
        machine.boot(
          {
            ...shell,
            ...{ SONECA_URL: url, SONECA_TOKEN: "t.1.x", SONECA_NODE_MIRROR: `${url}/mirror` },
            ...{ SONECA_NODE_SHA256: sha256Of(node), NODE_EXTRA_CA_CERTS: "/root.pem" },
          },
          "sh /onstart",
        );
        const seen = () => machine.read("var/lib/soneca/agent.log");
        await until("it beats", () => beats() > 0, { withinMs: 60_000, seen });
        expect((await machine.exec(`command -v ${tool === "curl" ? "python3" : "curl"}`, shell)).status).not.toBe(0);
        await close();
      },
      300_000,
    );

    async function serve(change: (agent: string) => void): Promise<void> {
      const agent = join(test.cloud.stateDir, "build/public/agent/soneca-agent.mjs");
      await test.cloud.killProgram("worker");
      change(agent);
      writeFileSync(`${agent}.sha256`, `${sha256Of(readFileSync(agent))}  soneca-agent.mjs\n`);
      await test.cloud.startProgram("worker");
    }
  },
);

/** As nodejs.org has it: this Node itself, packed. */
function packRealNode(): Buffer {
  const name = path.split("/").at(-1)!.replace(".tar.gz", "");
  const rename = `s,^${process.execPath.slice(1)}$,${name}/bin/node,`;
  const packed = spawnSync(
    "tar",
    ["-c", "-P", "--transform", rename.replace("^", "^/*"), "-I", "gzip -1", process.execPath],
    {
      maxBuffer: 1 << 28,
    },
  );
  return packed.stdout;
}

/** A control plane that counts heartbeats, with a certificate that no program of the machine knows. */
async function startTlsPlane() {
  const at = mkdtempSync(join(tmpdir(), "soneca-tls-"));
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost", "-keyout", join(at, "key.pem"), "-out", join(at, "cert.pem")],
  ]);
  expect(made.status).toBe(0);
  const [key, certificate] = ["key.pem", "cert.pem"].map((name) => readFileSync(join(at, name)));
  rmSync(at, { recursive: true });
  const agent = 'setInterval(() => fetch(process.env.SONECA_URL + "/beat").catch(() => {}), 100);';
  const files = new Map<string, string | Buffer>([
    ["/agent/install.sh", installScript()],
    ["/agent/start.sh", startScript()],
    ["/agent/soneca-agent.mjs", agent],
    ["/agent/soneca-agent.mjs.sha256", sha256Of(agent)],
    [`/mirror/${path}`, node],
  ]);
  let beats = 0;
  const server = createTlsServer({ key, cert: certificate }, (request, response) => {
    if (request.url === "/beat") beats++;
    const file = files.get(request.url ?? "");
    response.writeHead(file === undefined ? 404 : 200).end(file ?? "");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    certificate: certificate!,
    beats: () => beats,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
