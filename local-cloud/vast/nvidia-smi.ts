/**
 * The text of a machine's own `nvidia-smi`: POSIX sh with builtins only, because an agent runs it every second. It reads
 * the machine's `gpu-load`, one line per GPU (the last line stands for the GPUs after it):
 *
 *   busy | idle | PERCENT [USED_MIB]    a reading
 *   [N/A] and other bracketed words     that reading is not available
 *   lost                                an error line in the place of that GPU
 *   missing                             no line for that GPU
 *   fail CODE                           the whole command fails as nvidia-smi does with that exit code
 *   hang                                the command does not return
 */
import { createHash } from "node:crypto";
import { CUDA_VERSION, DRIVER_VERSION, type GpuKind } from "./catalog.ts";

export const GPU_LOAD_PATTERN = /^(busy|idle|lost|missing|hang|fail \d{1,3}|\[[A-Za-z/ ]+\]|\d{1,3}( \d{1,6})?)$/;

export interface SmiMachine {
  machineId: number;
  gpu: GpuKind;
  gpuCount: number;
  loadFile: string;
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function makeUuid(machineId: number, index: number): string {
  const hex = createHash("sha256").update(`gpu ${machineId} ${index}`).digest("hex");
  return `GPU-${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

export function buildNvidiaSmi({ machineId, gpu, gpuCount, loadFile }: SmiMachine): string {
  const uuids = Array.from({ length: gpuCount }, (_, index) => `U${index}=${makeUuid(machineId, index)}`);
  const capability = (gpu.computeCap / 100).toFixed(1);
  return `#!/bin/sh
# The nvidia-smi of a machine of Soneca's local cloud. Change what it says in gpu-load.
LOAD=${quote(loadFile)}
COUNT=${gpuCount} NAME=${quote(gpu.smiName)} MEM=${gpu.ramMb} LIMIT=${gpu.powerWatts}
DRIVER=${DRIVER_VERSION} CUDA=${CUDA_VERSION} CAP=${capability}
${uuids.join(" ")}
${SCRIPT}`;
}

const SCRIPT = String.raw`
fail() {
  case $1 in
    3) echo "NVIDIA-SMI has failed because the requested operation is not available on target device." ;;
    4) echo "Unable to query: Insufficient Permissions" ;;
    6) echo "No devices were found" ;;
    8) echo "NVIDIA-SMI has failed because a GPU's external power cables are not properly attached." ;;
    9) echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."
       echo ;;
    10) echo "NVIDIA-SMI has failed because the kernel detected an interrupt issue with a GPU." ;;
    12) echo "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display Driver is properly installed and present in your system."
        echo "Please also try adding directory that contains libnvidia-ml.so to your system PATH." ;;
    13) echo "NVIDIA-SMI has failed because the local version of NVML doesn't implement this function." ;;
    14) echo "WARNING: infoROM is corrupted at gpu 00000000:01:00.0" ;;
    15) echo "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU" ;;
    18) echo "Failed to initialize NVML: Driver/library version mismatch"
        echo "NVML library version: 550.144" ;;
    127) echo "sh: 1: nvidia-smi: not found" >&2 ;;
    *) echo "Failed to initialize NVML: Unknown Error" ;;
  esac
  exit "$1"
}

read_load() {
  n=0 last=idle
  if [ -r "$LOAD" ]; then
    while read -r line || [ -n "$line" ]; do
      case $line in
        '') continue ;;
        'fail '*) fail "${"$"}{line#fail }" ;;
        hang) exec sleep 100000 ;;
      esac
      eval "L$n=\$line"
      last=$line n=$((n + 1))
    done <"$LOAD"
  fi
  while [ $n -lt $COUNT ]; do eval "L$n=\$last"; n=$((n + 1)); done
}

# What GPU $i reads: util mutil used power cents temp uuid bus
read_gpu() {
  eval "load=\$L$i uuid=\$U$i"
  bus=00000000:0$((i + 1)):00.0 own=
  case $load in
    busy) util=97 ;;
    idle) util=0 ;;
    lost | missing | '['*) util=$load ;;
    *' '*) util=${"$"}{load%% *} own=${"$"}{load##* } ;;
    *) util=$load ;;
  esac
  case $util in
    lost | missing | '['*) number=0 ;;
    '' | *[!0-9]*) util='[N/A]' number=0 ;;
    *) [ "$util" -gt 100 ] && util=100
       number=$util ;;
  esac
  mutil=$((number / 3)) used=3
  [ "$number" -gt 0 ] && used=$((MEM * 6 / 10))
  case $own in '' | *[!0-9]*) ;; *) used=$own ;; esac
  power=$((LIMIT * (8 + number * 84 / 100) / 100)) cents=$((10 + (i * 37 + number) % 90))
  temp=$((34 + number * 38 / 100))
  case $util in '['*) mutil=$util ;; esac
}

# Value, unit and header of the field $1.
read_field() {
  h=$1 u=
  case $1 in
    index) v=$i ;;
    count) v=$COUNT ;;
    name | gpu_name) h=name v=$NAME ;;
    uuid | gpu_uuid) h=uuid v=$uuid ;;
    serial | gpu_serial) h=serial v='[N/A]' ;;
    driver_version) v=$DRIVER ;;
    pci.bus_id | gpu_bus_id) h=pci.bus_id v=$bus ;;
    utilization.gpu) v=$util u=% ;;
    utilization.memory) v=$mutil u=% ;;
    utilization.encoder | utilization.decoder) v=0 u=% ;;
    memory.total) v=$MEM u=MiB ;;
    memory.reserved) v=512 u=MiB ;;
    memory.used) v=$used u=MiB ;;
    memory.free) v=$((MEM - used)) u=MiB ;;
    temperature.gpu) v=$temp ;;
    temperature.memory) v=N/A ;;
    power.draw | power.draw.average | power.draw.instant) v=$power.$cents u=W ;;
    power.limit | enforced.power.limit | power.default_limit | power.max_limit) v=$LIMIT.00 u=W ;;
    fan.speed) v=$((30 + number / 3)) u=% ;;
    pstate) if [ "$number" -gt 0 ]; then v=P2; else v=P8; fi ;;
    clocks.sm | clocks.current.sm | clocks.gr | clocks.current.graphics) v=$((210 + number * 22)) u=MHz
      case $1 in clocks.sm) h=clocks.current.sm ;; clocks.gr) h=clocks.current.graphics ;; esac ;;
    clocks.mem | clocks.current.memory) v=10501 u=MHz h=clocks.current.memory ;;
    compute_cap) v=$CAP ;;
    compute_mode) v=Default ;;
    persistence_mode) v=Enabled ;;
    display_active | display_mode) v=Disabled ;;
    mig.mode.current | mig.mode.pending) v='[N/A]' ;;
    ecc.mode.current | ecc.mode.pending | ecc.errors.uncorrected.volatile.total) v='[N/A]' ;;
    vbios_version) v=95.02.3C.00.B4 ;;
    timestamp) v=$(date '+%Y/%m/%d %H:%M:%S.000') ;;
    *) return 1 ;;
  esac
}

read_app_field() {
  h=$1 u=
  case $1 in
    pid) v=$((4711 + i)) ;;
    process_name | name) h=process_name v=python ;;
    used_memory | used_gpu_memory) h=used_gpu_memory v=$((used - 3)) u=MiB ;;
    gpu_uuid) v=$uuid ;;
    gpu_name) v=$NAME ;;
    gpu_bus_id) v=$bus ;;
    gpu_serial) v='[N/A]' ;;
    timestamp) v=$(date '+%Y/%m/%d %H:%M:%S.000') ;;
    *) return 1 ;;
  esac
}

# A line of the fields $2, read by $1; with "head" as $3 their names instead.
print_row() {
  out= comma=
  old=$IFS IFS=,
  for f in $2; do
    f=${"$"}{f# }
    "$1" "$f" || {
      printf 'Field "%s" is not a valid field to query.\n\n' "$f"
      exit 2
    }
    if [ "$3" = head ]; then
      [ -n "$u" ] && h="$h [$u]"
      v=$h
    elif [ -n "$u" ] && [ $units = 1 ]; then
      case $v in '['* | N/A) ;; *) v="$v $u" ;; esac
    fi
    out=$out$comma$v comma=', '
  done
  IFS=$old
  [ "$3" = check ] || printf '%s\n' "$out"
}

each_gpu() {
  i=0
  while [ $i -lt $COUNT ]; do
    if [ -z "$only" ] || [ "$only" = $i ]; then
      read_gpu
      case $util in
        missing) ;;
        lost) echo "Unable to determine the device handle for GPU 0000:0$((i + 1)):00.0: Unknown Error" ;;
        *) "$@" ;;
      esac
    fi
    i=$((i + 1))
  done
}

print_app() { [ "$number" -gt 0 ] && print_row read_app_field "$query" row; }
print_name() { echo "GPU $i: $NAME (UUID: $uuid)"; }
print_table_row() {
  pct=$util%
  case $util in '['*) pct=N/A ;; esac
  printf '| %3d  %-30.30s On  |   %s Off |                  N/A |\n' $i "$NAME" $bus
  printf '| %2d%%   %2dC    %s %13dW / %4dW  |  %6dMiB / %6dMiB | %7s      Default |\n' \
    $((30 + number / 3)) $temp "$([ $number -gt 0 ] && echo P2 || echo P8)" $power $LIMIT $used $MEM "$pct"
  echo '|                                         |                        |                  N/A |'
  echo '+-----------------------------------------+------------------------+----------------------+'
}

print_table() {
  date
  echo '+-----------------------------------------------------------------------------------------+'
  printf '| NVIDIA-SMI %-22s Driver Version: %-14s CUDA Version: %-8s |\n' $DRIVER $DRIVER $CUDA
  echo '|-----------------------------------------+------------------------+----------------------+'
  echo '| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |'
  echo '| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |'
  echo '|                                         |                        |               MIG M. |'
  echo '|=========================================+========================+======================|'
  each_gpu print_table_row
}

run_once() {
  read_load
  case $mode in
    gpu)
      i=0; read_gpu; print_row read_field "$query" check
      [ $header = 1 ] && print_row read_field "$query" head
      each_gpu print_row read_field "$query" row ;;
    apps)
      i=0; read_gpu; print_row read_app_field "$query" check
      [ $header = 1 ] && print_row read_app_field "$query" head
      each_gpu print_app ;;
    list) each_gpu print_name ;;
    *) print_table ;;
  esac
  return 0
}

mode=table query= only= header=1 units=1 loop=
while [ $# -gt 0 ]; do
  case $1 in
    --query-gpu=*) mode=gpu query=${"$"}{1#*=} ;;
    --query-compute-apps=*) mode=apps query=${"$"}{1#*=} ;;
    --query-gpu) mode=gpu query=$2; shift ;;
    --query-compute-apps) mode=apps query=$2; shift ;;
    --format=*) case $1 in *noheader*) header=0 ;; esac
      case $1 in *nounits*) units=0 ;; esac ;;
    -i) only=$2; shift ;;
    --id=*) only=${"$"}{1#*=} ;;
    -L | --list-gpus) mode=list ;;
    -l) loop=$2; shift ;;
    --loop=*) loop=${"$"}{1#*=} ;;
    --version) printf 'NVIDIA-SMI version  : %s\nNVML version        : %s\nDRIVER version      : %s\nCUDA Version        : %s\n' \
      $DRIVER 570.86 $DRIVER $CUDA; exit 0 ;;
    *) printf 'Invalid combination of input arguments. Please run '\''nvidia-smi -h'\'' for help.\n\n'; exit 1 ;;
  esac
  shift
done
run_once
while [ -n "$loop" ]; do sleep "$loop"; header=0; run_once; done
`;
