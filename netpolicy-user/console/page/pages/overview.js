// @ts-check
// Overview: am I protected, what was denied, what changed.
import { get, maybe } from "../api.js";
import { Chart } from "../chart.js";
import { bytes, count, number } from "../format.js";
import { Icon } from "../icons.js";
import { Failure, Head, Pill, Segments, Table, Time, sentence } from "../parts.js";
import { status, useCell, useRead, useRevision } from "../store.js";
import { html, useEffect, useRef, useState } from "../ui.js";

/** What the state of enforcement comes to. */
const STATES = {
  attached: { kind: "good", title: "Filtering" },
  partial: { kind: "warn", title: "Partly filtering" },
  "not-attached": { kind: "bad", title: "Not filtering" },
  detached: { kind: "bad", title: "Not filtering: detached" },
  unknown: { kind: "warn", title: "Not known" },
};

export default function Overview() {
  const { data, error } = useCell(status);
  const revision = useRevision();
  const scopes = useRead(async (signal) => {
    const [host, services, policies] = await Promise.all([
      get(["host"], {}, { signal }), get(["services"], {}, { signal }), get(["policies"], {}, { signal }),
    ]);
    return { host, services, policies };
  }, [revision]);
  const recent = useRead((signal, unasked) => get(["revisions"], { limit: 6 }, { signal, unasked }), [revision]);
  return html`<${Head} title="Overview" help="monitoring" />
    ${!data && error && html`<${Failure} error=${error} />`}
    ${data && html`<${Protected} data=${data} />`}
    <div class="grid two">
      <section class="card span" aria-labelledby="rates-title"><${Rates} /></section>
      <section class="card" aria-labelledby="scopes"><h2 id="scopes">Scopes</h2><${Scopes} read=${scopes} status=${data} /></section>
      <section class="card" aria-labelledby="top"><div class="card-head"><h2 id="top">Denied most in the last 24 hours</h2><a href="#/sources?sort=attempts">Sources</a></div><${TopSources} /></section>
      <section class="card span" aria-labelledby="recent"><div class="card-head"><h2 id="recent">Recent changes</h2><a href="#/history">History</a></div>
        <${Failure} error=${recent.error} />
        ${recent.data && html`<${Table} label="Recent changes" columns=${[{ name: "Revision", number: true }, { name: "What" }, { name: "Who" }, { name: "When" }]}
          empty=${html`<p class="faint">Nothing was changed yet.</p>`}
          rows=${recent.data.items.map((item) => ({ key: item.revision, cells: [html`<a href=${`#/history/${item.revision}`}>${item.revision}</a>`, item.action, item.actor, html`<${Time} at=${item.created} />`] }))} />`}
      </section>
    </div>`;
}

function Protected({ data }) {
  const { enforcement, faults, agent } = data;
  const state = STATES[enforcement.state] ?? STATES.unknown;
  const open = agent && agent.active_policies === 0;
  const kind = faults.length || open ? (state.kind === "good" ? "warn" : state.kind) : state.kind;
  const filtered = enforcement.interfaces.filter((nic) => nic.attachment !== "none");
  return html`<section class=${`hero ${kind}`} aria-label="Protection">
    <div class="hero-mark"><${Icon} name=${kind === "good" ? "policies" : "warn"} /></div>
    <div class="hero-text">
      <p class="hero-title">${open && state.kind === "good" ? "Filtering, and no policy is active: every source may connect" : state.title}</p>
      <p>${filtered.length ? html`On ${filtered.map((nic, at) => html`${at ? ", " : ""}<strong>${nic.name}</strong> (${nic.attachment})`)}. ` : "On no interface. "}
        ${agent && html`Revision ${agent.revision}, generation ${number(enforcement.generation)}, ${count(enforcement.entries, "entry", "entries")} in the kernel.`}</p>
      ${faults.length > 0 && html`<ul class="faults">${faults.map((fault) => html`<li>${sentence(fault)}</li>`)}</ul>`}
    </div>
    ${agent && html`<dl class="numbers">
      <div><dt>Policies</dt><dd>${agent.active_policies}<small> of ${agent.policies} active</small></dd></div>
      <div><dt>Rules</dt><dd>${number(agent.rules)}</dd></div>
      <div><dt>Bans</dt><dd>${number(agent.bans?.count ?? 0)}</dd></div>
      <div><dt>Bypasses</dt><dd>${number(agent.bypasses)}</dd></div>
      <div><dt>Agent</dt><dd>${bytes(agent.memory_bytes)}</dd></div>
    </dl>`}
  </section>`;
}

function Scopes({ read, status }) {
  if (status?.agent?.scopes?.length) return html`<${ScopesInWords} agent=${status.agent} />`;
  if (read.error) return html`<${Failure} error=${read.error} />`;
  if (!read.data) return html`<p class="faint">Loading…</p>`;
  const { host, services, policies } = read.data;
  const rows = [{ name: "host", label: "Host", ports: `all ports but ${host.failsafe_ports || "none"}`, mode: host.mode, policies: host.policies },
    ...services.map((service) => ({ ...service, label: service.name, ports: service.ports }))];
  return html`<ul class="scopes">${rows.map((row) => {
    const active = policies.filter((policy) => policy.active && row.policies.includes(policy.name));
    const allows = active.some((policy) => policy.allow_count !== null && policy.allow_count !== undefined);
    const words = !active.length ? (row.name === "host" ? "open: no active policy" : "as the host: no active policy of its own")
      : allows ? "allows only what is listed" : "blocks what is listed";
    return html`<li key=${row.name}>
      <p><strong>${row.label}</strong> <span class="faint">${row.ports}</span> ${row.mode === "observe" && html`<${Pill} kind="warn">observed</>`}</p>
      <p>${sentence(words)}${active.length > 0 && html`: ${active.map((policy, at) => html`${at ? ", " : ""}<a href=${`#/policies/${encodeURIComponent(policy.name)}`}>${policy.name}</a>`)}`}</p></li>`;
  })}</ul>`;
}

/** The scopes as the agent says them, and ports that no policy governs. */
function ScopesInWords({ agent }) {
  const open = (agent.open_ports ?? []).filter((port) => !port.failsafe);
  return html`<ul class="scopes">${agent.scopes.map((scope) => html`<li key=${scope.scope}>
      <p><strong>${scope.scope === "host" ? "Host" : scope.scope}</strong> <span class="faint">${scope.ports ?? ""}</span> ${scope.mode === "observe" && html`<${Pill} kind="warn">observed</>`}
        ${scope.dropped_last_minute > 0 && html` <${Pill} kind="bad">${number(scope.dropped_last_minute)} dropped a minute</>`}</p>
      <p>${sentence(scope.sentence)}${scope.policies.length > 0 && html` · ${scope.policies.map((name, at) => html`${at ? ", " : ""}<a href=${`#/policies/${encodeURIComponent(name)}`}>${name}</a>`)}`}</p></li>`)}
    ${open.length > 0 && html`<li><p><strong>Listening and open to every source</strong></p><p>${open.map((port) => `${port.port}${port.service ? ` (${port.service})` : ""}`).join(", ")}</p></li>`}</ul>`;
}

const SPANS = [
  { value: "1h", label: "1 h", step: "minute" },
  { value: "24h", label: "24 h", step: "hour" },
  { value: "30d", label: "30 d", step: "day" },
];

/** Attempts over time; where the agent keeps none, since this page was opened. */
function Rates() {
  const agent = useCell(status).data?.agent;
  const [scope, setScope] = useState("");
  const [spanned, setSpan] = useState("1h");
  const { step } = SPANS.find((option) => option.value === spanned) ?? SPANS[0];
  const rates = useRead((signal, unasked) => maybe(["rates"], { step, since: spanned, scope }, { signal, unasked }), [spanned, scope], 15000);
  const here = useCounted(rates.data === null && !rates.error);
  const series = rates.data ? seriesOf(rates.data) : here;
  return html`<div class="card-head"><h2 id="rates-title">Connection attempts</h2>
      ${rates.data ? html`<span class="row-buttons">${(agent?.scopes?.length ?? 0) > 1 && html`<select class="small" aria-label="Scope" value=${scope} onChange=${(event) => setScope(event.currentTarget.value)}><option value="">all scopes</option>${agent.scopes.map((one) => html`<option value=${one.scope}>${one.scope === "host" ? "the host" : one.scope}</option>`)}</select>`}<${Segments} label="Time" options=${SPANS} value=${spanned} onChange=${setSpan} /></span>` : html`<span class="faint">since this page was opened, per second</span>`}</div>
    <${Failure} error=${rates.error} />
    <${Chart} series=${series} unit=${rates.data ? `in the last ${step}` : "a second"} />`;
}

const STEPS = { minute: 60, hour: 3600, day: 86400 };

/** Attempts at each time since they are remembered; where none is said, none came. */
function seriesOf(rates) {
  const step = STEPS[rates.step];
  const first = Math.max(new Date(rates.since).getTime(), new Date(rates.remembered_since).getTime()) / 1000;
  const buckets = new Map();
  for (let at = Math.floor(first / step) * step; at <= Date.now() / 1000; at += step) buckets.set(at, { allowed: 0, denied: 0 });
  for (const bucket of rates.buckets ?? []) {
    const at = new Date(bucket.time).getTime() / 1000;
    const entry = buckets.get(at) ?? { allowed: 0, denied: 0 };
    entry[bucket.verdict] += bucket.attempts;
    buckets.set(at, entry);
  }
  const times = [...buckets.keys()].sort((a, b) => a - b);
  return [times, times.map((at) => buckets.get(at).allowed), times.map((at) => buckets.get(at).denied)];
}

const ATTEMPTS_LEFT_OUT = new Set(["not-tcp", "established", "fragment"]);

/** Counters, turned into rates as long as the page is open. */
function useCounted(on) {
  const [series, set] = useState(/** @type {number[][]} */ ([[], [], []]));
  const before = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (!on) return undefined;
    const read = async () => {
      if (document.visibilityState !== "visible") return;
      const counters = await get(["counters"], {}, { unasked: true }).catch(() => null);
      if (!counters) return;
      const now = { at: Date.now() / 1000, allowed: 0, denied: 0 };
      for (const row of counters.rows) {
        if (!ATTEMPTS_LEFT_OUT.has(row.reason)) now[row.action === "drop" ? "denied" : "allowed"] += row.packets;
      }
      const last = before.current;
      before.current = now;
      if (!last) return;
      const rate = (name) => Math.max(0, (now[name] - last[name]) / (now.at - last.at));
      set(([times, allowed, denied]) => [[...times, now.at].slice(-360), [...allowed, rate("allowed")].slice(-360), [...denied, rate("denied")].slice(-360)]);
    };
    void read();
    const timer = setInterval(read, 2000);
    return () => clearInterval(timer);
  }, [on]);
  return series;
}

function TopSources() {
  const sources = useRead((signal, unasked) => maybe(["sources"], { verdict: "denied", since: "24h", sort: "attempts", limit: 8 }, { signal, unasked }), [], 15000);
  if (sources.error) return html`<${Failure} error=${sources.error} />`;
  if (sources.data === null) return html`<p class="faint">This agent keeps no memory of sources. Denied attempts are shown as they come under <a href="#/live">Live</a>.</p>`;
  return html`<${Table} label="Sources" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Attempts", number: true }, { name: "Last seen" }]}
    empty=${html`<p class="faint">No source was denied.</p>`}
    rows=${sources.data.sources.map((row) => ({ key: `${row.source} ${row.scope}`, cells: [
      html`<a href=${`#/explain?source=${encodeURIComponent(row.source)}`}><code>${row.source}</code></a>`, row.scope, number(row.attempts), html`<${Time} at=${row.last_seen} />`] }))} />`;
}
