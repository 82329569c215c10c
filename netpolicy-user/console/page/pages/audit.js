// @ts-check
// The audit log: who did what, and what was refused.
import { exact } from "../format.js";
import { Empty, Failure, Head, Loading, More, Pill, Search, Table, useParts, useTyped } from "../parts.js";
import { useRevision } from "../store.js";
import { html } from "../ui.js";

const KINDS = { done: "good", refused: "warn", failed: "bad" };

export default function Audit({ query }) {
  const revision = useRevision();
  const filter = useTyped(query.get("text") ?? "");
  const parts = useParts(["audit"], { limit: 100, text: filter.settled || undefined }, [filter.settled, revision]);
  return html`<${Head} title="Audit log" help="access-control" sub="Who did what, and what was refused. Nothing is ever taken out of it.">
      <${Search} label="Filter entries" placeholder="User, action or text" value=${filter.text} onInput=${filter.set} /><//>
    <${Failure} error=${parts.error} /><${Loading} of=${{ data: parts.items, error: parts.error }} />
    ${parts.items && html`<${Table} label="Audit log" columns=${[{ name: "Time" }, { name: "Who" }, { name: "What" }, { name: "Outcome" }, { name: "Revision", number: true }]}
      empty=${html`<${Empty} title=${filter.settled ? "No entry matches." : "The log is empty."} />`}
      rows=${parts.items.map((entry) => ({ key: entry.id, cells: [html`<span class="nowrap">${exact(entry.time)}</span>`, html`${entry.actor}${entry.from && html`<span class="under">${entry.from}</span>`}`,
        html`${entry.action}${entry.errors.map((error) => html`<span class="under bad-text">${error}</span>`)}${entry.changes.length > 0 && html`<details><summary>${entry.changes.length === 1 ? "1 line" : `${entry.changes.length} lines`}</summary><pre class="code">${entry.changes.join("\n")}</pre></details>`}`,
        html`<${Pill} kind=${KINDS[entry.outcome]}>${entry.outcome}</>`, entry.revision_after === entry.revision_before ? html`<span class="faint">${entry.revision_after}</span>` : html`<a href=${`#/history/${entry.revision_after}`}>${entry.revision_after}</a>`] }))} /><${More} parts=${parts} />`}`;
}
