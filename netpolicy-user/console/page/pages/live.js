// @ts-check
// Live: denied attempts as they come.
import { ApiError, events, maybe } from "../api.js";
import { count, number, ofDay } from "../format.js";
import { Icon } from "../icons.js";
import { Empty, Failure, Head, Pill, Search, Table, Time } from "../parts.js";
import { useRead } from "../store.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { Bypasses, NewestBans } from "./bans.js";

const KEPT = 500;

export default function Live() {
  const [paused, setPaused] = useState(false);
  const [text, setText] = useState("");
  const [state, set] = useState({ lines: /** @type {any[]} */ ([]), seen: 0, lost: 0, open: false });
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const waiting = useRef(/** @type {any[]} */ ([]));
  const stopped = useRef(false);
  stopped.current = paused;
  useEffect(() => {
    const control = new AbortController();
    let number = 0;
    const connect = async () => {
      while (!control.signal.aborted) {
        try {
          await events((event) => waiting.current.push({ ...event, key: ++number }), control.signal, () => { setError(null); set((state) => ({ ...state, open: true })); });
        } catch (failure) {
          if (control.signal.aborted) return;
          if (failure instanceof ApiError) setError(failure);
        }
        set((state) => ({ ...state, open: false }));
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    };
    void connect();
    // Drawn a few times a second, however many come.
    const timer = setInterval(() => {
      if (stopped.current || !waiting.current.length) return;
      const batch = waiting.current.splice(0);
      set((state) => {
        const denied = batch.filter((event) => event.event === "denied").reverse();
        const lost = batch.filter((event) => event.event === "lost").reduce((sum, event) => sum + event.count, 0);
        return { ...state, lines: [...denied, ...state.lines].slice(0, KEPT), seen: state.seen + denied.length, lost: state.lost + lost };
      });
    }, 250);
    return () => { control.abort(); clearInterval(timer); };
  }, []);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = state.lines.filter((event) => {
    const line = `${event.source} ${event.destination_port} ${event.scope} ${event.reason} ${event.rule ?? ""} ${event.interface}`.toLowerCase();
    return words.every((word) => line.includes(word));
  });
  return html`<${Head} title="Live" help="monitoring#denied-attempts" sub="Denied connection attempts as they happen.">
      <${Search} label="Filter attempts" placeholder="Address, port, scope, reason, rule" value=${text} onInput=${setText} />
      <button type="button" aria-pressed=${paused} onClick=${() => setPaused(!paused)}><${Icon} name=${paused ? "play" : "pause"} /> ${paused ? "Go on" : "Pause"}</button>
    <//>
    <${Failure} error=${error} />
    <p class="stream-state"><span class=${`dot ${state.open && !paused ? "on" : ""}`}></span> ${paused ? `Paused; ${count(waiting.current.length, "attempt")} waiting` : state.open ? "Listening" : "Connecting"}
      <span class="faint"> · ${count(state.seen, "attempt")} seen${state.lost ? `, ${number(state.lost)} not reported (rate limit)` : ""}</span></p>
    ${shown.length === 0 ? html`<${Empty} title=${state.lines.length ? "No attempt matches the filter." : "Nothing was denied since this page was opened."} />`
      : html`<div class="table live" role="group" aria-label="Denied attempts" tabindex="0"><table><thead><tr><th scope="col">Time</th><th scope="col">Source</th><th scope="col">To port</th><th scope="col">Scope</th><th scope="col">Reason</th><th scope="col">Rule</th></tr></thead>
        <tbody>${shown.slice(0, 200).map((event) => html`<tr key=${event.key}><td class="nowrap">${ofDay(event.time)}</td><td><a href=${`#/explain?source=${encodeURIComponent(event.source)}&port=${event.destination_port}`}><code>${event.source}</code></a></td>
          <td>${event.destination_port}</td><td>${event.scope}</td><td><${Pill} kind=${event.action === "drop" ? "bad" : "warn"}>${event.reason}</></td><td>${event.rule ?? ""}</td></tr>`)}</tbody></table></div>`}
    <${Clients} />
    <div class="grid two"><section class="card" aria-labelledby="newest-bans"><div class="card-head"><h2 id="newest-bans">Newest bans</h2><a href="#/bans">All bans</a></div><${NewestBans} /></section>
    <section class="card" aria-labelledby="bypasses"><h2 id="bypasses">Bypasses</h2><${Bypasses} /></section></div>`;
}

/** Who is connected now, where the agent says so. */
function Clients() {
  const read = useRead((signal, unasked) => maybe(["clients"], { limit: 200 }, { signal, unasked }), [], 5000);
  if (!read.data) return null;
  return html`<section class="card" aria-labelledby="clients"><div class="card-head"><h2 id="clients">Connected clients</h2><span class="faint">${count(read.data.total, "client")}</span></div>
    <${Table} label="Connected clients" columns=${[{ name: "Source" }, { name: "Scope" }, { name: "Ports" }, { name: "Connections", number: true }, { name: "Since" }, { name: "A new attempt" }]}
      empty=${html`<p class="faint">No client is connected to a port that a policy governs.</p>`}
      rows=${read.data.items.map((client) => ({ key: `${client.source} ${client.scope}`, cells: [html`<a href=${`#/explain?source=${encodeURIComponent(client.source)}&port=${client.ports[0]}`}><code>${client.source}</code></a>`, client.scope, client.ports.join(", "), number(client.connections), html`<${Time} at=${client.since} />`,
        html`<${Pill} kind=${client.verdict === "drop" ? "bad" : "good"}>${client.verdict === "drop" ? "would be denied" : "passes"}</>`] }))} /></section>`;
}
