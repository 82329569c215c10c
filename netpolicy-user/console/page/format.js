// @ts-check
// Numbers, times and sentences.

const whole = new Intl.NumberFormat("en");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** @param {number} n */
export const number = (n) => whole.format(n);

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many ?? one + "s"}`;

/** @param {string} time */
export const exact = (time) => absolute.format(new Date(time));

/** @param {string} time */
export const ofDay = (time) => clock.format(new Date(time));

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "3 min. ago", "in 2 days". @param {string} time @param {number} [now] */
export function ago(time, now = Date.now()) {
  const seconds = (new Date(time).getTime() - now) / 1000;
  if (Math.abs(seconds) < 5) return "now";
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size || unit === "second") return relative.format(Math.trunc(seconds / size), unit);
  }
  return "now";
}

/** "1 h 4 min", "12 s". @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** @param {number} bytes */
export function bytes(bytes) {
  return bytes < 1 << 20 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / (1 << 20))} MiB`;
}

/** "host" in words, services by their name. @param {string} scope */
export const scopeName = (scope) => (scope === "host" ? "the host" : scope);

/** An effect in a sentence, as `netpolicy apply` prints it. @param {import("./api.js").Effect} effect */
export function effectSentence(effect) {
  const { sources } = effect;
  const listed = listing(sources.networks, sources.more, sources.at_least);
  const all = { "all-ipv4": "all IPv4", "all-ipv6": "all IPv6" }[sources.kind] ?? "every source";
  const who = sources.kind === "networks" ? listed : listed ? `${all} but ${listed}` : all;
  const plural = sources.kind === "networks" && sources.networks.length + sources.more > 1;
  const ports = effect.ports ? ` (${/^\d+$/.test(effect.ports) ? "port" : "ports"} ${effect.ports})` : "";
  const already = sources.already ? `; ${count(sources.already, "network")} already ${sources.already === 1 ? "was" : "were"}` : "";
  return `${who} ${plural ? "become" : "becomes"} ${effect.becomes} on ${scopeName(effect.scope_name)}${ports}${already}`;
}

/** @param {string[]} networks @param {number} more @param {boolean} atLeast */
function listing(networks, more, atLeast) {
  const parts = [...networks];
  if (more || atLeast) {
    const n = more ? `${atLeast ? "at least " : ""}${count(more, "more network")}` : "more networks";
    parts.push(n);
  }
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** @param {import("./api.js").Opens} opens */
export function opensSentence(opens) {
  const families = { every: "every source", ipv4: "all IPv4 sources", ipv6: "all IPv6 sources" };
  const openings = opens.openings.map((opening) => {
    const ports = opening.ports ? ` (${/^\d+$/.test(opening.ports) ? "port" : "ports"} ${opening.ports})` : "";
    const share = opening.percent < 100 ? `${opening.percent} % of ` : "";
    return `opens ${scopeName(opening.scope)}${ports} to ${share}${families[/** @type {"every"} */ (opening.sources)] ?? opening.sources}`;
  });
  const shrinks = (opens.shrinks ?? []).map((shrink) => `shrinks ${shrink.list} from ${number(shrink.before)} to ${count(shrink.after, "entry", "entries")}`);
  return [...openings, ...shrinks].join(", and ");
}
