/** Callers that look and want nothing: crawlers, link previews, uptime checks. They are answered, and change nothing. */

const crawlers =
  /bot\b|bot\/|crawl|spider|slurp|facebookexternalhit|bingpreview|embedly|whatsapp|skypeuripreview|archive\.org|headlesschrome-lighthouse/i;
const checks =
  /uptime|pingdom|statuscake|site24x7|kube-probe|googlehc|elb-healthchecker|route 53 health|cloudflare-healthchecks|prometheus\/|blackbox|datadog|newrelicpinger|nagios|check_http|zabbix|updown\.io|hetrixtools|gatus/i;
const scanners = /zgrab|masscan|nmap|nuclei|nikto|sqlmap|censys|expanse|internet-measurement|l9explore|wpscan/i;

/** By what it says of itself; no agent at all is somebody's own program. */
export function isRobot(userAgent: string | null): boolean {
  if (!userAgent) return false;
  return crawlers.test(userAgent) || checks.test(userAgent) || scanners.test(userAgent);
}
