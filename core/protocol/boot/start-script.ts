/**
 * `start.sh`, in the agent's home: starts the agent and keeps it running, with a Node that it brings where there is none,
 * and with the way back from a new agent that does not work. POSIX sh.
 *
 *   start.sh        keeps the settings it was given, starts the loop in a session of its own and returns
 *   start.sh loop   the loop; one per home
 *
 * A new agent is `soneca-agent.mjs.next`. It becomes the agent between two runs, on trial:
 *
 *   .next --> agent, trial (the one before is .previous) --> the agent removes `trial`: it reported often enough
 *                |
 *                +-- ended three times, or did not report within trialSeconds: .previous is the agent again, and the
 *                    build stands in bad-builds and is not taken a second time
 *
 * `trial` names the build by its sum. It is written before the files move, so whatever is cut short by a kill is seen.
 */
import { nodeMirror, nodeMirrorPath, nodeRelease } from "../node-release.ts";
import { bootFiles, loopEnv } from "./files.ts";
import { getFunction } from "./get.ts";
import { quote } from "./quote.ts";
import { settingNames } from "./settings.ts";

/** The last line of each script that is fetched: without it a part of one is missing. */
export const lastLine = "# soneca-end";
export const startFirstLines = "#!/bin/sh\n# soneca-start\n";

/** Of the tarball (55 MB) and the program (125 MB), which are there together, with a little more. */
const nodeKb = 200_000;

const trialSeconds = 300;
const trialStarts = 3;

// Everything from the control plane but Node itself is fetched by Node, which has certificates of its own.
const bring = `
const [, url, home] = process.argv, at = home + "/", agent = at + "${bootFiles.agent}";
const read = (file) => { try { return fs.readFileSync(file); } catch { return Buffer.alloc(0); } };
const sum = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");
const get = async (path) => {
  const answer = await fetch(url + path, { signal: AbortSignal.timeout(120000) });
  if (!answer.ok) throw Error("HTTP " + answer.status);
  return Buffer.from(await answer.arrayBuffer());
};
const keep = (file, bytes) => {
  fs.writeFileSync(file + ".draft", bytes, { mode: 0o600 });
  fs.renameSync(file + ".draft", file);
};
(async () => {
  const wanted = String(await get("/agent/${bootFiles.agent}.sha256")).trim().split(/\\s/)[0];
  if (sum(read(agent)) !== wanted && !String(read(at + "${bootFiles.badBuilds}")).includes(wanted)) {
    const bytes = await get("/agent/${bootFiles.agent}");
    if (sum(bytes) !== wanted) throw Error("its checksum is wrong");
    keep(at + "${bootFiles.next}", bytes);
  }
  const start = await get("/agent/${bootFiles.start}");
  const text = String(start), isWhole = text.startsWith(${JSON.stringify(startFirstLines)}) && text.endsWith("${lastLine}\\n");
  if (isWhole && !start.equals(read(at + "${bootFiles.start}"))) keep(at + "${bootFiles.start}", start);
})().catch((error) => { console.log(String(error.cause ?? error.message)); process.exit(1); });
`;

const keepSettings = `
E=$H/${bootFiles.settings}; rm -f "$E.$$"
for n in ${settingNames}; do
  eval "v=\\\${$n:-}"
  [ -n "$v" ] || v=$(tr '\\0' '\\n' 2>/dev/null </proc/1/environ | sed -n "s/^$n=//p" | head -n 1)
  f=$(sed -n "s/^$n=//p" "$E" 2>/dev/null | head -n 1)
  [ -z "$f" ] || { [ -n "$v" ] && [ -z "\${SONECA_SAVED:-}" ]; } || v=$f
  [ -z "$v" ] || { export "$n=$v"; printf '%s=%s\\n' "$n" "$v" >>"$E.$$"; }
done
mv -f "$E.$$" "$E"
unset SONECA_SAVED
export SONECA_HOME="$H"
[ -n "\${SONECA_URL:-}" ] || { echo "soneca: SONECA_URL is not set" >&2; exit 1; }
S=; for s in setsid nohup; do command -v $s >/dev/null 2>&1 && { S=$s; break; }; done
(trap '' HUP; exec $S sh "$H/${bootFiles.start}" loop </dev/null >>"$H/agent.log" 2>&1) &
exit 0
`;

const lock = `
# A pid may belong to another process by now, so its command line is looked at; without /proc the pid has to do.
take_lock() {
  L=$H/${bootFiles.loopLock}
  for i in 1 2; do
    mkdir "$L" 2>/dev/null && { echo $$ >"$L/pid"; return 0; }
    [ -s "$L/pid" ] || sleep 1
    p=$(cat "$L/pid" 2>/dev/null)
    if [ -n "$p" ] && kill -0 "$p" 2>/dev/null; then
      [ -r "/proc/$p/cmdline" ] || return 1
      tr '\\0' ' ' <"/proc/$p/cmdline" | grep -qF "$H/${bootFiles.start} loop" && return 1
    fi
    rm -rf "$L"
  done
  return 0
}
end() { rm -rf "$H/${bootFiles.loopLock}"; exit 0; }
`;

const { version, sha256 } = nodeRelease;

const pythonSum = 'import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],"rb").read()).hexdigest())';
const nodeSum = 'console.log(crypto.createHash("sha256").update(fs.readFileSync(process.argv[1])).digest("hex"))';

const node = `
find_node() {
  for N in node "$H/node/bin/node" /usr/local/bin/node /opt/nvm/versions/node/*/bin/node "$HOME"/.nvm/versions/node/*/bin/node; do
    "$N" -e "process.exit(parseInt(process.versions.node)<22?1:0)" 2>/dev/null && return
  done
  return 1
}
sum() {
  { sha256sum "$1" || shasum -a 256 "$1" || openssl dgst -r -sha256 "$1" || python3 -c ${quote(pythonSum)} "$1" ||
    "$N" -e ${quote(nodeSum)} "$1"; } 2>/dev/null | { read -r x _ && echo "$x"; }
}
# The sum of the tarball is known, so whoever sends it need not be trusted, nor verified.
bring_node() {
  for x in /lib/ld-musl-*; do
    [ -e "$x" ] && [ ! -e /lib64/ld-linux-x86-64.so.2 ] && [ ! -e /lib/ld-linux-aarch64.so.1 ] || continue
    say "this is a system with musl (Alpine), which the agent does not run on: use an image of Debian, Ubuntu or another with glibc"
    return 1
  done
  case $(uname -m) in
  x86_64) a=x64 s=${sha256.x64} ;;
  aarch64 | arm64) a=arm64 s=${sha256.arm64} ;;
  *) say "there is no node to be brought for the processor $(uname -m): install node 22 or newer"; return 1 ;;
  esac
  x=$(df -Pk "$H" 2>/dev/null | sed -n '2s/.* \\([0-9][0-9]*\\)  *[0-9][0-9]*%.*/\\1/p')
  if [ "\${x:-${nodeKb}}" -lt ${nodeKb} ]; then
    say "only $((x/1024)) MB are free in $H, and node takes ${nodeKb / 1000} MB: free some, or name another folder with SONECA_HOME"
    return 1
  fi
  s=\${SONECA_NODE_SHA256:-$s} d=node-v${version}-linux-$a t=$H/node.tar.gz.$$
  for m in "\${SONECA_NODE_MIRROR:-${nodeMirror}}" "$SONECA_URL${nodeMirrorPath}"; do
    m=\${m%/}
    if ! K=1 get "$m/v${version}/$d.tar.gz" "$t"; then say "node could not be fetched from $m"; continue; fi
    if ! x=$(sum "$t"); then say "nothing here can compute a SHA-256: install coreutils (sha256sum)"; break; fi
    if [ "$x" != "$s" ]; then say "what came from $m is not node ${version}, or only a part of it: its checksum is wrong"; continue; fi
    rm -rf "$H/node.$$"; mkdir -p "$H/node.$$"
    if ! x=$(tar -xzf "$t" -C "$H/node.$$" "$d/bin/node" 2>&1); then say "node could not be unpacked in $H, is its disk full? $(echo "$x" | head -n 1)"; break; fi
    if ! x=$("$H/node.$$/$d/bin/node" -v 2>&1); then
      say "node ${version} does not run here (it needs glibc 2.28: Debian 10, Ubuntu 20.04 or newer, and a $H that may hold programs): $(echo "$x" | head -n 1)"
      break
    fi
    rm -rf "$H/node" "$t"; mv "$H/node.$$/$d" "$H/node"; rm -rf "$H/node.$$"
    say "node ${version} was brought from $m"
    return 0
  done
  rm -rf "$t" "$H/node.$$"
  return 1
}
# Once, and only where nothing could do it.
add_tools() {
  for c in curl wget python3 openssl; do command -v $c >/dev/null 2>&1 && return 1; done
  [ -z "$P" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  P=1; say "nothing here can fetch over https: installing curl and ca-certificates with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq install -y --no-install-recommends curl ca-certificates
}
`;

const agent = `
A=$H/${bootFiles.agent} T=$H/${bootFiles.trial} F=0 P= K=
fetch_agent() {
  [ ! -f "$T" ] || return 0
  x=$("$N" -e ${quote(bring)} "$SONECA_URL" "$H" 2>&1) || say "the agent could not be fetched from $SONECA_URL: $x"
}
adopt() {
  [ -s "$A" ] || [ ! -s "$A.previous" ] || [ -s "$A.next" ] || cp "$A.previous" "$A"
  if [ -s "$A.next" ]; then
    if [ -s "$A" ]; then
      sum "$A.next" >"$T"; rm -f "$T.starts"
      mv -f "$A" "$A.previous"
      say "a new agent is tried: $(head -c 12 "$T")"
    fi
    mv -f "$A.next" "$A"
  fi
  [ ! -f "$T" ] || { [ -s "$A.previous" ] && [ "$(sum "$A")" = "$(cat "$T")" ]; } || rm -f "$T" "$T.starts"
}
roll_back() {
  cat "$T" >>"$H/${bootFiles.badBuilds}"
  echo "$(cat "$T") $1" >"$H/${bootFiles.rolledBack}"
  say "the new agent $1: back to the one before it, and $(head -c 12 "$T") is not tried again"
  mv -f "$A.previous" "$A"; rm -f "$T" "$T.starts"
}
# Sets rc. On trial the agent is watched from outside: one that hangs does not end by itself.
run_agent() {
  if [ ! -f "$T" ]; then "$N" "$A" run --log "$H/agent.log"; rc=$?; return; fi
  c=$(cat "$T.starts" 2>/dev/null || echo 0)
  if [ "$c" -ge ${trialStarts} ]; then roll_back "ended $c times before it had reported"; rc=8; return; fi
  echo $((c+1)) >"$T.starts"
  "$N" "$A" run --log "$H/agent.log" &
  p=$! i=0
  while kill -0 $p 2>/dev/null && [ -f "$T" ]; do
    if [ $i -ge "\${SONECA_TRIAL_SECONDS:-${trialSeconds}}" ]; then
      kill $p; for j in 1 2 3 4 5 6 7 8 9 10; do kill -0 $p 2>/dev/null || break; sleep 1; done
      kill -9 $p 2>/dev/null; wait $p
      roll_back "did not report within $i s"; rc=8
      return
    fi
    sleep 1; i=$((i+1))
  done
  wait $p; rc=$?
}
`;

const loop = `
cd /
export ${loopEnv}=$$
take_lock || { say "the loop of this home runs already"; exit 0; }
[ -r /proc/self/stat ] || say "there is no /proc here: without it nothing can be stopped for a snapshot, so mount it"
until find_node; do
  bring_node && continue
  add_tools && continue
  say "node 22 or newer is missing: this is tried again every 30 s"; sleep 30
done
W=$(command -v "$N")
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$W" "$A" >"$H/soneca-agent" && chmod 700 "$H/soneca-agent"
fetch_agent
while :; do
  adopt
  if [ ! -s "$A" ]; then sleep 5; fetch_agent; continue; fi
  run_agent
  case $rc in
  0|6|7) say "the agent ended with $rc"; end ;;
  8) sleep 1; continue ;;
  esac
  say "the agent ended with $rc and is started again"
  # Killed, it may have left processes stopped; ended by itself, it may be healed by a newer one.
  if [ $rc -gt 128 ]; then F=0; sleep 1; else F=$((F+1)); sleep $((F>5?30:1)); fetch_agent; fi
done
`;

export function startScript(): string {
  return `${startFirstLines}{
case $0 in */*) H=\${0%/*} ;; *) H=. ;; esac
H=$(cd "$H" && pwd) || exit 1
umask 077; : "\${HOME:=/root}" "\${PATH:=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"; export HOME PATH
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) soneca: $*"; }
if [ "\${1:-}" != loop ]; then${keepSettings}fi${lock}${getFunction}${node}${agent}${loop}}
${lastLine}
`;
}
