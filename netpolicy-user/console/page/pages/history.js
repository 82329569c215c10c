// @ts-check
// History: revisions, their difference, and the way back.
import { about, get } from "../api.js";
import { proposeRollback } from "../change.js";
import { count } from "../format.js";
import { Empty, Failure, Field, Head, Loading, More, Search, Table, Time, useParts, useTyped } from "../parts.js";
import { useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";
import { saveState } from "./file.js";
import { Lines } from "./policy_tabs.js";

/** Bytes of a difference that are shown. */
const SHOWN = 262144;

export default function History({ parts }) {
  return parts[0] ? html`<${Difference} key=${parts.join("/")} to=${Number(parts[0])} from=${parts[1] ? Number(parts[1]) : null} />` : html`<${All} />`;
}

function back(revision) {
  proposeRollback(revision, { done: () => { location.hash = "#/history"; } });
}

const SINCE = [["", "ever"], ["1", "the last day"], ["7", "the last 7 days"], ["30", "the last 30 days"]];

function All() {
  const revision = useRevision();
  const filter = useTyped("");
  const [policy, setPolicy] = useState("");
  const [days, setDays] = useState("");
  const policies = useRead((signal, unasked) => get(["policies"], {}, { signal, unasked }), [revision]);
  const since = days ? new Date(Date.now() - Number(days) * 86400000).toISOString() : undefined;
  const parts = useParts(["revisions"], { limit: 100, text: filter.settled || undefined, policy: policy || undefined, since, changes: true }, [revision, filter.settled, policy, days]);
  const [chosen, setChosen] = useState(/** @type {number[]} */ ([]));
  const toggle = (number) => setChosen(chosen.includes(number) ? chosen.filter((other) => other !== number) : [...chosen, number].slice(-2));
  const [low, high] = [...chosen].sort((a, b) => a - b);
  return html`<${Head} title="History" help="safe-changes" sub="Every change is a revision; each can be restored.">
      <${Search} label="Filter revisions" placeholder="User or action" value=${filter.text} onInput=${filter.set} />
      <a class=${`button ${chosen.length === 2 ? "" : "off"}`} aria-disabled=${chosen.length !== 2} href=${chosen.length === 2 ? `#/history/${high}/${low}` : undefined} role="link">Compare two</a><//>
    <div class="toolbar"><${Field} label="Of">${(id) => html`<select id=${id} value=${policy} onChange=${(event) => setPolicy(event.currentTarget.value)}><option value="">every policy</option>${(policies.data ?? []).map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select>`}<//>
      <${Field} label="Made in">${(id) => html`<select id=${id} value=${days} onChange=${(event) => setDays(event.currentTarget.value)}>${SINCE.map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select>`}<//></div>
    <${Failure} error=${parts.error} /><${Loading} of=${{ data: parts.items, error: parts.error }} />
    ${parts.items && html`<${Table} label="Revisions" columns=${[{ name: "", hidden: "Select" }, { name: "Revision", number: true }, { name: "What" }, { name: "Who" }, { name: "When" }, { name: "" }]}
      empty=${html`<${Empty} title=${filter.settled || policy || days ? "No revision matches." : "Nothing was changed yet."} />`}
      rows=${parts.items.map((item) => ({ key: item.revision, cells: [html`<input type="checkbox" aria-label=${`Select revision ${item.revision}`} checked=${chosen.includes(item.revision)} onChange=${() => toggle(item.revision)} />`,
        html`<a class="strong" href=${`#/history/${item.revision}`}>${item.revision}</a>`, html`${item.action}<${Lines} lines=${item.changes} />`, item.actor, html`<${Time} at=${item.created} />`,
        item.revision === revision ? html`<span class="faint">present</span>` : html`<button type="button" class="small" disabled=${about?.read_only} aria-label=${`Roll back to revision ${item.revision}`} onClick=${() => back(item.revision)}>Roll back to</button>`] }))} /><${More} parts=${parts} />`}`;
}

function Difference({ to, from }) {
  const present = useRevision();
  const base = from ?? to - 1;
  const read = useRead((signal) => get(["diff"], { from: String(base), to, limit: SHOWN }, { signal }), [base, to]);
  const which = useRead((signal) => get(["revisions"], { after: to + 1, limit: 1 }, { signal }), [to]);
  const item = which.data?.items.find((item) => item.revision === to);
  return html`<${Head} title=${`Revision ${to}`} help="safe-changes" back=${{ href: "#/history", label: "History" }} sub=${item && html`${item.action}, by ${item.actor}, <${Time} at=${item.created} />`}>
      ${to > 1 && !from && html`<a class="button" href=${`#/history/${to - 1}`}>Earlier</a>`}
      ${to < present && !from && html`<a class="button" href=${`#/history/${to + 1}`}>Later</a>`}
      <button type="button" onClick=${() => saveState(to)}>Save as policy file</button>
      ${to !== present && html`<button type="button" disabled=${about?.read_only} onClick=${() => back(to)}>Roll back to revision ${to}</button>`}<//>
    <p class="faint">Compared with ${base > 0 ? `revision ${base}` : "the empty state before it"}${to !== present ? "" : "; it is the present one"}.</p>
    <${Failure} error=${read.error} /><${Loading} of=${read} />
    ${read.data && (read.data.differs ? html`<${Diff} text=${read.data.diff} />` : html`<${Empty} title="Both are the same." />`)}
    ${read.data?.left_out > 0 && html`<p class="faint">${count(read.data.left_out, "more line")} differ: <code>netpolicy diff ${base} ${to}</code> prints them.</p>`}`;
}

export function Diff({ text }) {
  return html`<pre class="code diff" tabindex="0" aria-label="Difference">${text.split("\n").map((line) => html`<span class=${line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : line.startsWith("@@") ? "place" : ""}>${line}\n</span>`)}</pre>`;
}
