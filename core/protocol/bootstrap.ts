/**
 * The shell texts that bring the agent onto a machine: as its onstart, and as the one line that a person pastes. POSIX sh.
 *
 *   onstart (4048 characters at most) --fetches--> install.sh --writes--> start.sh (boot/start-script.ts) --> the agent
 *   the pasted line ------------------fetches--> install.sh, which also arranges that a restart starts it
 *
 * They may run at every start of a container and as often as one likes. onstart carries the SHA-256 of the install.sh of
 * its day: with it the text may come from a server that cannot be verified for want of certificates. One of another day
 * has to come from a verified server.
 */
import { bootFiles } from "./boot/files.ts";
import { getFunction } from "./boot/get.ts";
import { quote } from "./boot/quote.ts";
import { lastLine, startScript } from "./boot/start-script.ts";

/** The agent's exit codes that the loop knows. updated: the next start is another agent's. */
export const agentExit = { done: 0, alreadyRuns: 6, fenced: 7, updated: 8 } as const;

/** vast.ai takes no longer text. */
export const onstartMaxChars = 4048;

const missing = "nothing here can fetch over https: install ca-certificates and one of curl, wget, python3 and openssl";

/** Sets H to the first home that can be written, as the agent's findHome() does. */
const chooseHome = `H=\${SONECA_HOME:-/var/lib/soneca}; : "\${HOME:=/root}"; export HOME
mkdir -p "$H" 2>/dev/null && [ -w "$H" ] || { H=$HOME/.soneca-agent; mkdir -p "$H" || exit 1; }
export SONECA_HOME="$H"; chmod 700 "$H" 2>/dev/null
`;

const aptInstall =
  "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends curl ca-certificates";

/** Runs at every start of a container; returns at once. `sha256`: of installScript(). */
export function onstartScript(sha256: string): string {
  const fetcher = `${getFunction}
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) soneca: $*"; }
U=$SONECA_URL/agent/install.sh F=$SONECA_HOME/install.$$ P=
whole() { [ "$(tail -n 1 "$F")" = "${lastLine}" ]; }
until K= && get "$U" "$F" && whole || { K=1 && get "$U" "$F" && echo "${sha256}  $F" | sha256sum -c >/dev/null 2>&1; }; do
  case $P$(id -u)$U in 0https:*) P=1; say "${missing}; trying apt-get"; ${aptInstall} && continue ;; esac
  say "$U could not be fetched, or is not what was meant. If it can be reached: ${missing}"; sleep 5
done
SONECA_ONSTART=1 sh "$F"; rm -f "$F"`;
  return `#!/bin/sh
# soneca-onstart
{
for n in SONECA_URL SONECA_HOME; do
  eval "v=\\\${$n:-}"
  [ -n "$v" ] || v=$(tr '\\0' '\\n' 2>/dev/null </proc/1/environ | sed -n "s/^$n=//p" | head -n 1)
  [ -z "$v" ] || export "$n=$v"
done
${chooseHome}if [ -s "$H/${bootFiles.start}" ]; then exec sh "$H/${bootFiles.start}"; fi
[ -n "\${SONECA_URL:-}" ] || { echo "soneca: SONECA_URL is not set" >&2; exit 1; }
L=${quote(fetcher)}
(trap '' HUP; exec sh -c "$L" soneca-onstart </dev/null >>"$H/agent.log" 2>&1) &
}
`;
}

/** How a restart finds the agent: the machine's onstart, else systemd, else cron. Each is left as it is but for our line. */
const arrangeRestart = `
call="[ ! -r '$H/${bootFiles.start}' ] || SONECA_SAVED=1 sh '$H/${bootFiles.start}' # soneca-agent"
if [ -f "$HOME/onstart.sh" ]; then
  # First of all: what is there may never return.
  if ! grep -qF "$H/${bootFiles.start}" "$HOME/onstart.sh"; then
    { head -n 1 "$HOME/onstart.sh" | grep "^#!"; echo "$call"; sed "1{/^#!/d;}" "$HOME/onstart.sh"; } >"$H/onstart.$$" &&
      cat "$H/onstart.$$" >"$HOME/onstart.sh"
    rm -f "$H/onstart.$$"
  fi
  echo "soneca: $HOME/onstart.sh starts the agent when this machine starts again"
elif [ -n "\${CONTAINER_ID:-}" ] && ! tr '\\0' '\\n' 2>/dev/null </proc/1/environ | grep -qx "CONTAINER_ID=$CONTAINER_ID"; then
  # A machine of the local cloud: a tree of processes on somebody's computer.
  echo "soneca: this machine shares its process 1 with others, whose start is left alone"
elif [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemctl >/dev/null 2>&1; then
  printf '%s\\n' "[Unit]" "Description=Soneca agent" "After=network-online.target" "[Service]" "Type=oneshot" "RemainAfterExit=yes" \\
    "KillMode=process" "Environment=SONECA_SAVED=1" "ExecStart=/bin/sh $H/${bootFiles.start}" "[Install]" "WantedBy=multi-user.target" \\
    >/etc/systemd/system/soneca-agent.service && systemctl daemon-reload && systemctl enable soneca-agent.service >/dev/null 2>&1
  echo "soneca: the unit soneca-agent.service starts the agent when this machine starts again"
elif command -v crontab >/dev/null 2>&1; then
  { crontab -l 2>/dev/null | grep -vF "$H/${bootFiles.start}"; echo "@reboot $call"; } | crontab -
  echo "soneca: where cron runs, crontab starts the agent when this machine starts again"
else
  echo "soneca: nothing here starts programs when the machine starts again: run this line again then"
fi
`;

/** The text of `/agent/install.sh`; it may come through a pipe. */
export function installScript(): string {
  return `#!/bin/sh
# soneca-install
{
${chooseHome}printf %s ${quote(startScript())} >"$H/start.$$" && mv -f "$H/start.$$" "$H/${bootFiles.start}" ||
  { rm -f "$H/start.$$"; echo "soneca: $H cannot be written, is its disk full? SONECA_HOME names another folder" >&2; exit 1; }
if [ -z "\${SONECA_ONSTART:-}" ]; then${arrangeRestart}fi
sh "$H/${bootFiles.start}" && echo "soneca: the agent is starting; its log is $H/agent.log"
}
${lastLine}
`;
}

/**
 * One line for a shell on that machine. It wants nothing but what a bare Debian or Ubuntu has: without curl, wget and
 * python3 it lets apt-get bring curl. The token travels in the environment, never in a program's arguments.
 */
export function installCommand({ url, token }: { url: string; token: string }): string {
  const base = url.replace(/\/+$/, "");
  const python = "import sys,urllib.request as r;print(r.urlopen(sys.argv[1],timeout=30).read().decode())";
  const perl =
    '($h,$p)=$ARGV[0]=~m{^http://([^/:]+):?(\\d*)/} or exit 1;$s=IO::Socket::INET->new(PeerAddr=>$h,PeerPort=>$p||80)or exit 1;print$s "GET /agent/install.sh HTTP/1.0\\r\\nHost: $h\\r\\n\\r\\n";<$s>=~/ 200/ or exit 1;while(<$s>){last if/^\\r?$/}print<$s>';
  const ways = [
    'curl -fsSL "$U"',
    'wget -qO- "$U"',
    `python3 -c ${quote(python)} "$U"`,
    ...(base.startsWith("http:") ? [`perl -MIO::Socket::INET -e ${quote(perl)} "$U"`] : []),
  ].map((way) => `S=$(${way} 2>/dev/null)`);
  const withApt = `{ { [ "$(id -u)" = 0 ] && ${aptInstall}; } >&2 && S=$(curl -fsSL "$U"); }`;
  const refuse = `{ echo "soneca: $U could not be fetched. If it can be reached: ${missing}" >&2; exit 1; }`;
  return (
    `(U=${quote(`${base}/agent/install.sh`)}; ${ways.join(" || ")} || ${withApt} || ${refuse}; ` +
    `printf '%s\\n' "$S" | SONECA_URL=${quote(base)} SONECA_TOKEN=${quote(token)} sh)`
  );
}
