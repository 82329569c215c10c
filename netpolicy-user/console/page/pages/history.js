// @ts-check
// History: revisions, their difference, and the way back.
import { about, get } from "../api.js";
import { proposeRollback } from "../change.js";
import { Empty, Failure, Head, More, Search, Table, Time, useParts, useTyped } from "../parts.js";
import { useRead, useRevision } from "../store.js";
import { html, useState } from "../ui.js";

export default function History({ parts }) {
  return parts[0] ? html`<${Difference} key=${parts.join("/")} to=${Number(parts[0])} from=${parts[1] ? Number(parts[1]) : null} />` : html`<${All} />`;
}

function back(revision) {
  proposeRollback(revision, { done: () => { location.hash = "#/history"; } });
}

function All() {
  const revision = useRevision();
  const filter = useTyped("");
  const parts = useParts(["revisions"], { limit: 100, text: filter.settled || undefined }, [revision, filter.settled]);
  const [chosen, setChosen] = useState(/** @type {number[]} */ ([]));
  const toggle = (number) => setChosen(chosen.includes(number) ? chosen.filter((other) => other !== number) : [...chosen, number].slice(-2));
  const [low, high] = [...chosen].sort((a, b) => a - b);
  return html`<${Head} title="History" help="safe-changes" sub="Every change is a revision; each can be restored.">
      <${Search} label="Filter revisions" placeholder="User or action" value=${filter.text} onInput=${filter.set} />
      <a class=${`button ${chosen.length === 2 ? "" : "off"}`} aria-disabled=${chosen.length !== 2} href=${chosen.length === 2 ? `#/history/${high}/${low}` : undefined} role="link">Compare two</a><//>
    <${Failure} error=${parts.error} />
    ${parts.items && html`<${Table} label="Revisions" columns=${[{ name: "", hidden: "Select" }, { name: "Revision", number: true }, { name: "What" }, { name: "Who" }, { name: "When" }, { name: "" }]}
      empty=${html`<${Empty} title=${filter.settled ? "No revision matches." : "Nothing was changed yet."} />`}
      rows=${parts.items.map((item) => ({ key: item.revision, cells: [html`<input type="checkbox" aria-label=${`Select revision ${item.revision}`} checked=${chosen.includes(item.revision)} onChange=${() => toggle(item.revision)} />`,
        html`<a class="strong" href=${`#/history/${item.revision}`}>${item.revision}</a>`, item.action, item.actor, html`<${Time} at=${item.created} />`,
        item.revision === revision ? html`<span class="faint">present</span>` : html`<button type="button" class="small" disabled=${about?.read_only} aria-label=${`Roll back to revision ${item.revision}`} onClick=${() => back(item.revision)}>Roll back to</button>`] }))} /><${More} parts=${parts} />`}`;
}

function Difference({ to, from }) {
  const present = useRevision();
  const base = from ?? to - 1;
  const read = useRead((signal) => base > 0 ? get(["diff"], { from: base, to }, { signal }) : get(["export"], { revision: to }, { signal }).then((text) => ({ diff: text.split("\n").map((line) => `+${line}`).join("\n"), differs: true, left_out: 0 })), [base, to]);
  const which = useRead((signal) => get(["revisions"], { after: to + 1, limit: 1 }, { signal }), [to]);
  const item = which.data?.items.find((item) => item.revision === to);
  return html`<${Head} title=${`Revision ${to}`} help="safe-changes" back=${{ href: "#/history", label: "History" }} sub=${item && html`${item.action}, by ${item.actor}, <${Time} at=${item.created} />`}>
      ${to > 1 && !from && html`<a class="button" href=${`#/history/${to - 1}`}>Earlier</a>`}
      ${to < present && !from && html`<a class="button" href=${`#/history/${to + 1}`}>Later</a>`}
      ${to !== present && html`<button type="button" disabled=${about?.read_only} onClick=${() => back(to)}>Roll back to revision ${to}</button>`}<//>
    <p class="faint">Compared with ${base > 0 ? `revision ${base}` : "no state"}${to !== present ? "" : "; it is the present one"}.</p>
    <${Failure} error=${read.error} />
    ${read.data && (read.data.differs ? html`<${Diff} text=${read.data.diff} />` : html`<${Empty} title="Both are the same." />`)}
    ${read.data?.left_out > 0 && html`<p class="faint">${read.data.left_out} more lines differ.</p>`}`;
}

export function Diff({ text }) {
  return html`<pre class="code diff" tabindex="0" aria-label="Difference">${text.split("\n").map((line) => html`<span class=${line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : line.startsWith("@@") ? "place" : ""}>${line}\n</span>`)}</pre>`;
}
