/**
 * The shell texts that bring the agent onto a machine: as its onstart, and as the one line that a person pastes.
 *
 * POSIX sh; they need a node of at least 22 on the machine and nothing else (curl and wget are used where they are).
 * They may run at every start of a container and as often as one likes: a second loop ends as soon as its agent finds
 * the first one's lock (exit code 6). Exit 7 means that a newer machine owns the workspace: never start again.
 */

/** The agent's exit codes that the loop knows. */
export const agentExit = { done: 0, alreadyRuns: 6, fenced: 7 } as const;

/** vast.ai takes no longer text. */
export const onstartMaxChars = 4048;

/** What a login over ssh does not see is taken from process 1. */
const names =
  "SONECA_URL SONECA_TOKEN SONECA_INSTANCE SONECA_EPOCH SONECA_WORKSPACE SONECA_HOME CONTAINER_ID DATA_DIRECTORY GPU_COUNT";

// No single quote may stand in it: it is handed to `sh -c` in single quotes. An agent that was killed may have left
// processes stopped, so it is back within a second; one that ends by itself may be healed by a newer version.
const loop = String.raw`
cd /
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) soneca: $*"; }
find_node() {
  for N in node "$SONECA_HOME/node/bin/node" /usr/local/bin/node /opt/nvm/versions/node/*/bin/node "$HOME"/.nvm/versions/node/*/bin/node; do
    "$N" -e "process.exit(parseInt(process.versions.node)<22?1:0)" 2>/dev/null && return
  done
  return 1
}
get() {
  curl -fsSL --connect-timeout 10 --max-time 300 -o "$2" "$1" 2>/dev/null || wget -q -T 60 -O "$2" "$1" 2>/dev/null ||
    "$N" -e "fetch(process.argv[1]).then(async r=>{if(!r.ok)throw r.status;fs.writeFileSync(process.argv[2],Buffer.from(await r.arrayBuffer()))}).catch(()=>process.exit(1))" "$1" "$2"
}
fetch_agent() {
  T=$A.$$
  if get "$SONECA_URL/agent/soneca-agent.mjs" "$T" && get "$SONECA_URL/agent/soneca-agent.mjs.sha256" "$T.sum" &&
    "$N" -e "const[,f,s]=process.argv;process.exit(+(crypto.createHash(\"sha256\").update(fs.readFileSync(f)).digest(\"hex\")!==fs.readFileSync(s,\"utf8\").trim().split(/\s/)[0]))" "$T" "$T.sum"
  then mv -f "$T" "$A"; else say "the agent could not be fetched from $SONECA_URL, or its checksum is wrong"; fi
  rm -f "$T" "$T.sum"
}
A=$SONECA_HOME/soneca-agent.mjs F=0
until find_node; do say "node 22 or newer is missing: install it, this is tried again every 30 s"; sleep 30; done
fetch_agent
while :; do
  if [ -s "$A" ]; then
    "$N" "$A" run --log "$SONECA_HOME/agent.log"
    rc=$?
    case $rc in 0|6|7) say "the agent ended with $rc"; exit 0 ;; esac
    say "the agent ended with $rc and is started again"
    if [ $rc -gt 128 ]; then F=0; sleep 1; else F=$((F+1)); sleep $((F>5?30:1)); fetch_agent; fi
  else
    sleep 5
    fetch_agent
  fi
done
`;

const body = `{
for n in ${names}; do
  eval "v=\\\${$n:-}"
  [ -n "$v" ] || v=$(tr '\\0' '\\n' 2>/dev/null </proc/1/environ | sed -n "s/^$n=//p" | head -n 1)
  [ -z "$v" ] || export "$n=$v"
done
: "\${HOME:=/root}"; export HOME
[ -n "\${SONECA_URL:-}" ] || { echo "soneca: SONECA_URL is not set" >&2; exit 1; }
H=\${SONECA_HOME:-/var/lib/soneca}
mkdir -p "$H" 2>/dev/null && [ -w "$H" ] || { H=$HOME/.soneca-agent; mkdir -p "$H" || exit 1; }
export SONECA_HOME="$H"; chmod 700 "$H" 2>/dev/null
S=setsid; command -v setsid >/dev/null 2>&1 || S=nohup
L='${loop}'
$S sh -c "$L" soneca-loop </dev/null >>"$H/agent.log" 2>&1 &
}
`;

/** Runs at every start of a container; returns at once. */
export function onstartScript(): string {
  return `#!/bin/sh\n# soneca-onstart\n${body}`;
}

/** The text of `/agent/install.sh`: the same, for a machine that is already rented. */
export function installScript(): string {
  return `#!/bin/sh\n# soneca-install\n${body}echo "soneca: the agent is starting; its log is $H/agent.log"\n`;
}

/** One line for a shell on that machine. The token travels in the environment, never in a program's arguments. */
export function installCommand({ url, token }: { url: string; token: string }): string {
  const base = url.replace(/\/+$/, "");
  const script = quote(`${base}/agent/install.sh`);
  return `{ curl -fsSL ${script} || wget -qO- ${script}; } | SONECA_URL=${quote(base)} SONECA_TOKEN=${quote(token)} sh`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
