/** The rows and error bodies of vast.ai's API, field by field as the real ones look. */
import { diskUsdPerHour } from "./bill.ts";
import { type CatalogOffer, CUDA_VERSION, DRIVER_VERSION } from "./catalog.ts";
import type { FaultHit } from "./fault-rules.ts";
import { readPorts } from "./machines.ts";
import type { Row } from "./query.ts";
import type { Contract } from "./state.ts";

export interface Reply {
  status: number;
  body: unknown;
  /** Text bodies are sent as they are with this type; everything else is JSON. */
  type?: string;
  headers?: Record<string, string>;
  /** How the answer travels, where not as it should. */
  travel?: { waitMs?: number; bytesPerSecond?: number; cutInHalf?: boolean };
}

const LAYERS = ["4f4fb7", "9a02c1", "c1f6de", "5e11b0"];

export const success = (more: object = {}): Reply => ({ status: 200, body: { success: true, ...more } });

export function failure(status: number, error: string, msg: string, more: object = {}): Reply {
  return { status, body: { success: false, error, msg, ...more } };
}

const REASONS: Record<number, string> = {
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

export function htmlPage(status: number): Reply {
  const title = `${status} ${REASONS[status] ?? "OK"}`;
  return {
    status,
    type: "text/html",
    body: `<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center><hr><center>nginx</center></body></html>`,
  };
}

/** As the first two come from the API itself and the others from what stands before it. */
export function serverError(status: number): Reply {
  return status === 500 || status === 503 ? failure(status, "server_error", "Internal server error") : htmlPage(status);
}

export const successFalse = (): Reply => ({
  status: 200,
  body: { success: false, error: "server_error", msg: "try again" },
});

export const noSuchInstance = (id: number) =>
  failure(404, "no_such_instance", `error 404/3602: no_such_instance Instance ${id} not found.`);
export const invalid = (message: string) => failure(400, "invalid_args", `error 400/3467: Invalid args: ${message}`);

/** `seconds`: the endpoint's own interval. */
export function rateLimited({ variant, amount }: Pick<FaultHit, "variant" | "amount">, seconds: number): Reply {
  const threshold = seconds.toFixed(1);
  if (variant === "detail") {
    return { status: 429, body: { detail: `API requests too frequent endpoint threshold=${threshold}` } };
  }
  if (variant === "json") {
    return failure(429, "rate_limit_exceeded", "Too many requests, slow down.", { retry_after: seconds });
  }
  const when = variant === "date" ? new Date(Date.now() + amount * 1000).toUTCString() : String(amount);
  return {
    status: 429,
    type: "text/plain",
    body: `API requests too frequent: endpoint threshold=${threshold}`,
    ...(variant !== "text" && { headers: { "retry-after": when } }),
  };
}

export function offerTaken(offerId: number, variant: string): Reply {
  if (variant === "403") return failure(403, "forbidden", `error 403/3586: Offer ${offerId} is not your own offer.`);
  const status = variant === "404" ? 404 : variant === "410" ? 410 : 400;
  const msg =
    status === 410
      ? `error 410/3907: no_such_ask Instance type ${offerId} is no longer available.`
      : `error 404/3603: no_such_ask Instance type by id ${offerId} is not available.`;
  return failure(status, status === 410 ? "no_such_ask" : "invalid_args", msg, { ask_id: offerId });
}

const round = (value: number, digits = 6) => Number(value.toFixed(digits));

function readPrices(offer: CatalogOffer, diskGb: number, dphBase = offer.dphBase) {
  const diskHour = diskUsdPerHour(offer, diskGb);
  const totalHour = round(dphBase + diskHour);
  return {
    dph_base: dphBase,
    dph_total: totalHour,
    storage_cost: offer.storageCost,
    storage_total_cost: round(diskHour),
    parts: {
      gpuCostPerHour: dphBase,
      diskHour: round(diskHour),
      totalHour,
      discountTotalHour: 0,
      discountedTotalPerHour: totalHour,
    },
  };
}

/** What an offer and a rented instance say alike of their host. */
function readHost(offer: CatalogOffer): Row {
  return {
    machine_id: offer.machineId,
    host_id: offer.hostId,
    num_gpus: offer.gpuCount,
    gpu_name: offer.gpu.name,
    gpu_ram: offer.gpu.ramMb,
    gpu_arch: "nvidia",
    gpu_frac: 1,
    gpu_lanes: 16,
    gpu_mem_bw: 900,
    gpu_max_power: offer.gpu.powerWatts,
    gpu_max_temp: 90,
    gpu_display_active: false,
    bw_nvlink: 0,
    compute_cap: offer.gpu.computeCap,
    cuda_max_good: Number(CUDA_VERSION),
    driver_version: DRIVER_VERSION,
    cpu_name: "AMD EPYC 7543",
    cpu_arch: "amd64",
    cpu_cores: offer.cpuCores,
    cpu_cores_effective: offer.cpuCores,
    cpu_ghz: 2.8,
    cpu_ram: offer.ramMb,
    has_avx: 1,
    mobo_name: "H12SSL-i",
    os_version: "22.04",
    ubuntu_version: "22.04",
    disk_bw: 3100.5,
    disk_name: "nvme",
    pci_gen: 4,
    pcie_bw: 24.1,
    dlperf: round(offer.gpu.dlperf * offer.gpuCount, 1),
    total_flops: round(offer.gpu.tflops * offer.gpuCount, 1),
    inet_up: offer.inetUp,
    inet_down: offer.inetDown,
    inet_up_cost: offer.inetUpCost,
    inet_down_cost: offer.inetDownCost,
    direct_port_count: offer.directPortCount,
    static_ip: false,
    public_ipaddr: `203.0.113.${offer.hostId % 250}`,
    reliability: offer.reliability,
    reliability2: offer.reliability,
    reliability_mult: 1,
    expected_reliability: offer.reliability,
    geolocation: offer.geolocation,
    verification: offer.verification,
    hosting_type: 0,
    vms_enabled: false,
    cluster_id: null,
    is_bid: false,
  };
}

export function readOfferRow(offer: CatalogOffer, diskGb: number, now: number): Row {
  const { parts, ...prices } = readPrices(offer, diskGb);
  const total = prices.dph_total;
  const host = readHost(offer);
  return {
    id: offer.id,
    ask_contract_id: offer.id,
    bundle_id: offer.machineId * 3,
    bundled_results: null,
    ...host,
    ...prices,
    gpu_total_ram: offer.gpu.ramMb * offer.gpuCount,
    disk_space: offer.diskGb,
    dlperf_per_dphtotal: round((host.dlperf as number) / total, 2),
    flops_per_dphtotal: round((host.total_flops as number) / total, 2),
    min_bid: round(offer.dphBase * 0.55, 4),
    discounted_dph_total: total,
    discounted_hourly: 0,
    credit_discount_max: 0.4,
    score: round(((host.dlperf as number) / total) * offer.reliability, 1),
    duration: offer.durationSeconds,
    start_date: Math.floor(now / 1000) - 86_400,
    end_date: Math.floor(now / 1000) + offer.durationSeconds,
    rentable: true,
    rented: false,
    external: offer.external,
    driver_vers: DRIVER_VERSION.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0),
    search: parts,
    instance: parts,
  };
}

export interface Status {
  actual_status: string | null;
  intended_status: "running" | "stopped";
  cur_state: "running" | "stopped" | "unloaded";
  next_state: "running" | "stopped";
  status_msg: string | null;
}

type BootView = Pick<Status, "actual_status" | "status_msg">;

const HOST_MESSAGES: Record<string, string> = {
  no_space: "write /var/lib/docker/tmp/GetImageBlob104: no space left on device",
  eof: "failed to register layer: unexpected EOF",
  cdi: "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=0",
  dockerfile: "docker_build() error writing dockerfile",
  nvidia_container: "nvidia-container-cli: device error: 0: unknown device",
  device_handle: "unable to determine the device handle for GPU 0000:01:00.0: Unknown Error",
};

function readImageMessage(image: string, variant: string): string {
  if (variant === "pull_denied")
    return `Error response from daemon: pull access denied for ${image}, repository does not exist`;
  if (variant === "unauthorized") return "Error response from daemon: unauthorized: authentication required";
  return `Error response from daemon: manifest for ${image} not found: manifest unknown: manifest unknown`;
}

/** Where a boot that fails comes to rest. */
function readBootFault({ name, variant }: NonNullable<Contract["bootFault"]>, image: string, layer: string): BootView {
  switch (name) {
    case "boot_gpu_error":
      return { actual_status: "created", status_msg: "Error: GPU error, unable to start instance" };
    case "boot_host_error":
      return { actual_status: "loading", status_msg: HOST_MESSAGES[variant]! };
    case "boot_image_error":
      return { actual_status: "loading", status_msg: readImageMessage(image, variant) };
    case "boot_exited":
      return variant === "exited"
        ? { actual_status: "exited", status_msg: "Error: OCI runtime create failed: runc create failed" }
        : { actual_status: variant, status_msg: null };
    case "boot_never":
      return {
        actual_status: variant === "null" ? null : variant,
        status_msg: variant === "loading" ? `${layer}: Pull complete` : null,
      };
  }
}

/** A boot's words over its time: null, created, loading with the layers of the image. */
function readBoot({ bootFault, bootMs, bootAt, image }: Contract, now: number): BootView {
  const part = bootMs === 0 ? 1 : (now - bootAt) / bootMs;
  if (part < 0.15) return { actual_status: null, status_msg: null };
  if (part < 0.3) return { actual_status: "created", status_msg: null };
  const layer = LAYERS[Math.min(LAYERS.length - 1, Math.floor((part - 0.3) * 5))]!;
  if (bootFault) return readBootFault(bootFault, image, layer);
  return { actual_status: "loading", status_msg: `${layer}: Pull complete` };
}

export function readStatus(contract: Contract, isAlive: boolean, now: number): Status {
  const running = { intended_status: "running", cur_state: "running", next_state: "running" } as const;
  const stopped = { intended_status: "stopped", cur_state: "stopped", next_state: "stopped" } as const;
  switch (contract.stage) {
    case "booting":
      return { ...running, ...readBoot(contract, now) };
    case "running": {
      const meant = contract.pending ? ({ ...stopped, cur_state: "running" } as const) : running;
      return isAlive
        ? { ...meant, actual_status: "running", status_msg: `success, running ${contract.image.replace(":", "_")}/ssh` }
        : { ...meant, actual_status: "exited", status_msg: "Exited (137)" };
    }
    case "stopped":
      return { ...stopped, actual_status: "exited", status_msg: "Exited (0)" };
    case "interrupted":
      return { ...stopped, actual_status: "stopped", status_msg: null };
    case "queued":
      return { ...running, cur_state: "stopped", actual_status: "exited", status_msg: null };
    case "offline":
      return { ...running, actual_status: "offline", status_msg: null };
    case "destroying":
      return { ...stopped, cur_state: "unloaded", actual_status: "exited", status_msg: null };
  }
}

export interface InstanceFacts {
  status: Status;
  gpuUtil: number | null;
  now: number;
}

export function readInstanceRow(contract: Contract, offer: CatalogOffer, { status, gpuUtil, now }: InstanceFacts): Row {
  const { parts, ...prices } = readPrices(offer, contract.diskGb, contract.dphBase);
  const isUp = status.actual_status === "running";
  const ports = readPorts(contract.env).map(({ port, protocol }) => [
    `${port}/${protocol}`,
    [{ HostIp: "0.0.0.0", HostPort: String(port) }],
  ]);
  const { direct_port_count, ...host } = readHost(offer);
  return {
    id: contract.id,
    ...host,
    ...prices,
    ...status,
    label: contract.label,
    image_uuid: contract.image,
    image_args: [],
    image_runtype: contract.runtype,
    jupyter_token: null,
    extra_env: Object.entries(contract.env),
    onstart: contract.onstart,
    ssh_host: `ssh${contract.id % 9}.vast.ai`,
    ssh_port: 10_000 + (contract.id % 20_000),
    ssh_idx: String(contract.id % 9),
    machine_dir_ssh_port: 20_001,
    public_ipaddr: "127.0.0.1",
    local_ipaddrs: "127.0.0.1 ",
    direct_port_start: 20_000,
    direct_port_end: 20_000 + (direct_port_count as number) - 1,
    direct_port_count,
    ports: isUp ? Object.fromEntries([["22/tcp", [{ HostIp: "0.0.0.0", HostPort: "20000" }]], ...ports]) : null,
    start_date: contract.createdAt / 1000,
    end_date: Math.floor(contract.createdAt / 1000) + offer.durationSeconds,
    uptime_mins: isUp && contract.runningAt !== null ? (now - contract.runningAt) / 60_000 : null,
    gpu_util: isUp ? gpuUtil : null,
    gpu_temp: isUp ? 34 + (gpuUtil ?? 0) * 0.38 : null,
    gpu_totalram: offer.gpu.ramMb * offer.gpuCount,
    gpu_total_ram: offer.gpu.ramMb * offer.gpuCount,
    cpu_util: isUp ? 0.4 : null,
    mem_usage: isUp ? 3.1 : null,
    mem_limit: offer.ramMb / 1000,
    vmem_usage: null,
    disk_space: contract.diskGb,
    disk_usage: isUp ? 0.1 : -1,
    disk_util: isUp ? 0.1 / contract.diskGb : -1,
    min_bid: round(offer.dphBase * 0.55, 4),
    template_id: null,
    template_hash_id: null,
    template_name: null,
    time_remaining: "",
    volume_info: [],
    instance: parts,
    search: parts,
  };
}
