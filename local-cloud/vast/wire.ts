/** The rows and error bodies of vast.ai's API, field by field as the real ones look. */
import { type CatalogOffer, CUDA_VERSION, DRIVER_VERSION } from "./catalog.ts";
import type { FaultHit } from "./faults.ts";
import { readPorts } from "./machines.ts";
import type { Row } from "./query.ts";
import type { Contract } from "./state.ts";

export interface Reply {
  status: number;
  body: unknown;
  /** Text bodies are sent as they are with this type; everything else is JSON. */
  type?: string;
}

const HOURS_PER_MONTH = 730;
const LAYERS = ["4f4fb7", "9a02c1", "c1f6de", "5e11b0"];

export const success = (more: object = {}): Reply => ({ status: 200, body: { success: true, ...more } });

export function failure(status: number, error: string, msg: string, more: object = {}): Reply {
  return { status, body: { success: false, error, msg, ...more } };
}

export const html502 = (): Reply => ({
  status: 502,
  type: "text/html",
  body: "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>",
});

export function rateLimited({ variant }: Pick<FaultHit, "variant">, seconds = 4.5): Reply {
  if (variant === "detail") {
    return { status: 429, body: { detail: `API requests too frequent endpoint threshold=${seconds.toFixed(1)}` } };
  }
  if (variant === "json")
    return failure(429, "rate_limit_exceeded", "Too many requests, slow down.", { retry_after: seconds });
  return {
    status: 429,
    type: "text/plain",
    body: `API requests too frequent: endpoint threshold=${seconds.toFixed(1)}`,
  };
}

export function offerTaken(offerId: number, variant: string): Reply {
  const status = variant === "404" ? 404 : variant === "410" ? 410 : 400;
  const msg =
    status === 410
      ? `error 410/3907: no_such_ask Instance type ${offerId} is no longer available.`
      : `error 404/3603: no_such_ask Instance type by id ${offerId} is not available.`;
  return failure(status, status === 410 ? "no_such_ask" : "invalid_args", msg, { ask_id: offerId });
}

export const diskUsdPerHour = (offer: CatalogOffer, diskGb: number) => (offer.storageCost * diskGb) / HOURS_PER_MONTH;

const round = (value: number, digits = 6) => Number(value.toFixed(digits));

function readPrices(offer: CatalogOffer, diskGb: number) {
  const diskHour = diskUsdPerHour(offer, diskGb);
  const totalHour = round(offer.dphBase + diskHour);
  return {
    dph_base: offer.dphBase,
    dph_total: totalHour,
    storage_cost: offer.storageCost,
    storage_total_cost: round(diskHour),
    parts: {
      gpuCostPerHour: offer.dphBase,
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

const FATAL: Record<string, { actual_status: string; status_msg: string }> = {
  gpu_error: { actual_status: "created", status_msg: "Error: GPU error, unable to start instance" },
  exited: { actual_status: "exited", status_msg: "Error: OCI runtime create failed: runc create failed" },
};

/** A boot's words over its time: null, created, loading with the layers of the image. */
function readBoot(
  contract: Contract,
  now: number,
  bootMs: number,
): { actual_status: string | null; status_msg: string | null } {
  const part = bootMs === 0 ? 1 : (now - contract.bootAt) / bootMs;
  if (part < 0.15) return { actual_status: null, status_msg: null };
  if (part < 0.3) return { actual_status: "created", status_msg: null };
  if (contract.bootFault === "image_error") {
    const msg = `Error response from daemon: manifest for ${contract.image} not found: manifest unknown: manifest unknown`;
    return { actual_status: "loading", status_msg: msg };
  }
  const fatal = contract.bootFault && FATAL[contract.bootFault];
  if (fatal) return fatal;
  const layer = LAYERS[Math.min(LAYERS.length - 1, Math.floor((part - 0.3) * 5))];
  return { actual_status: "loading", status_msg: `${layer}: Pull complete` };
}

export function readStatus(contract: Contract, isAlive: boolean, now: number, bootMs: number): Status {
  const running = { intended_status: "running", cur_state: "running", next_state: "running" } as const;
  const stopped = { intended_status: "stopped", cur_state: "stopped", next_state: "stopped" } as const;
  switch (contract.stage) {
    case "booting":
      return { ...running, ...readBoot(contract, now, bootMs) };
    case "running":
      return isAlive
        ? {
            ...running,
            actual_status: "running",
            status_msg: `success, running ${contract.image.replace(":", "_")}/ssh`,
          }
        : { ...running, actual_status: "exited", status_msg: "Exited (137)" };
    case "stopped":
      return { ...stopped, actual_status: "exited", status_msg: "Exited (0)" };
    case "interrupted":
      return { ...stopped, actual_status: "stopped", status_msg: null };
    case "queued":
      return { ...running, cur_state: "stopped", actual_status: "exited", status_msg: null };
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
  const { parts, ...prices } = readPrices(offer, contract.diskGb);
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
