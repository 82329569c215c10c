// @ts-check
// Sources: who came, what became of it, by which rule; and what to do about one.
import { Act } from "../act.js";
import { about, get } from "../api.js";
import { count, exact, number } from "../format.js";
import { Dialog, Empty, Failure, Field, Head, Loading, More, Pill, Search, Segments, Table, Time, useParts, useTyped } from "../parts.js";
import { useRead, useRevision } from "../store.js";
import { html, useEffect, useState } from "../ui.js";
import { one } from "./bans.js";

const VERDICTS = [{ value: "denied", label: "Denied" }, { value: "allowed", label: "Allowed" }, { value: "", label: "All" }];
const SINCE = [["1h", "the last hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["", "all remembered"]];
const NETS = [["", "address"], ["28", "/28"], ["24", "/24"], ["20", "/20"], ["16", "/16"], ["8", "/8"]];
const ORDERS = [["last", "seen last"], ["attempts", "most attempts"], ["source", "by address"]];

export default function Sources({ query }) {
  const revision = useRevision();
  const [verdict, setVerdict] = useState(query.get("verdict") ?? "denied");
  const [since, setSince] = useState(query.get("since") ?? "24h");
  const [service, setService] = useState(query.get("service") ?? "");
  const [net, setNet] = useState("");
  const [sort, setSort] = useState(query.get("sort") ?? "last");
  const filter = useTyped(query.get("covers") ?? "");
  const [chosen, setChosen] = useState(/** @type {any} */ (null));
  useEffect(() => filter.set(query.get("covers") ?? ""), [query.toString()]);
  const services = useRead((signal) => get(["services"], {}, { signal }), [revision]);
  const covers = filter.settled.trim() || undefined;
  const parts = useParts(["sources"], { verdict, since, service, net, sort, covers, limit: 100 }, [verdict, since, service, net, sort, covers]);
  const page = parts.page;
  const isGrouped = parts.items?.some((row) => row.sources > 1);
  return html`<${Head} title="Sources" help="monitoring#sources" sub="Which addresses tried to connect, what became of it, and which rule decided.">
      <${Search} label="Filter sources" placeholder="Address or network" value=${filter.text} onInput=${filter.set} />
      <button type="button" onClick=${parts.reload}>Read again</button><//>
    <div class="toolbar"><${Segments} label="Verdict" options=${VERDICTS} value=${verdict} onChange=${setVerdict} />
      <${Choice} label="In" value=${since} set=${setSince} options=${SINCE} />
      <${Choice} label="On" value=${service} set=${setService} options=${[["", "every scope"], ["host", "the host"], ...(services.data ?? []).map((one) => [one.name, one.name])]} />
      <${Choice} label="By" value=${net} set=${setNet} options=${NETS} />
      <${Choice} label="First" value=${sort} set=${setSort} options=${ORDERS} />
      <span class="spring"></span>${parts.items && html`<span class="faint">${count(parts.total ?? 0, net ? "network" : "source")}</span>`}</div>
    <${Failure} error=${parts.error} /><${Loading} of=${{ data: parts.items, error: parts.error }} />
    ${page?.lost_from && html`<p class="panel warn">Attempts between ${exact(page.lost_from)} and ${exact(page.lost_before)} are missing: no agent wrote them down.</p>`}
    ${page?.displaced > 0 && html`<p class="panel">${count(page.displaced, "source")} with few attempts made room for others.</p>`}
    ${parts.items && html`<${Table} label="Sources" columns=${[{ name: "Source" }, ...(isGrouped ? [{ name: "Sources", number: true }] : []), { name: "On" }, { name: "Verdict" }, { name: "Attempts", number: true }, { name: "First" }, { name: "Last" }, { name: "Decided by" }, { name: "" }]}
      empty=${html`<${Empty} title="No such source is remembered."><p>${page ? html`Sources are remembered since ${exact(page.since)}.` : ""}</p></>`}
      rows=${parts.items.map((row, at) => ({ key: `${at} ${row.source} ${row.scope} ${row.verdict}`, cells: [
        html`<a href=${explain(row)}><code>${row.source}</code></a>`, ...(isGrouped ? [number(row.sources)] : []), row.scope,
        html`<${Pill} kind=${row.verdict === "denied" ? "bad" : "good"}>${row.reason}</>`, html`${row.sampled ? "about " : ""}${number(row.attempts)}`,
        html`<${Time} at=${row.first_seen} />`, html`<${Time} at=${row.last_seen} />`, html`<${Decided} row=${row} />`,
        html`<button type="button" class="small" disabled=${about?.read_only} aria-label=${`Act on ${row.source}`} onClick=${() => setChosen(row)}>Act</button>`] }))} /><${More} parts=${parts} />`}
    ${chosen && html`<${Dialog} title=${`Act on ${chosen.source}`} wide onClose=${() => setChosen(null)}>
      <p>${count(chosen.attempts, "attempt")} on ${chosen.scope === "host" ? "the host" : chosen.scope}, ${chosen.verdict}: ${chosen.reason}. <a href=${explain(chosen)}>Explain</a></p>
      <${Act} source=${one(chosen.source)} scope=${chosen.scope} service=${chosen.scope === "host" ? null : chosen.scope} done=${() => { setChosen(null); parts.reload(); }} /><//>`}`;
}

/** Where the verdict of a row is explained. */
function explain(row) {
  const to = new URLSearchParams({ source: one(row.source), ...(row.scope === "host" ? {} : { port: row.scope }) });
  return `#/explain?${to}`;
}

/** The policy and the rule that decided last. */
function Decided({ row }) {
  if (!row.policy) return html`<span class="faint">–</span>`;
  return html`<a href=${`#/policies/${encodeURIComponent(row.policy)}`}>${row.policy}</a>${row.rule && html` <code>${row.rule}</code>`}${row.named_list && html`<span class="under">on <a href=${`#/lists/${encodeURIComponent(row.named_list)}`}>@${row.named_list}</a></span>`}`;
}

function Choice({ label, value, set, options }) {
  return html`<${Field} label=${label}>${(id) => html`<select id=${id} value=${value} onChange=${(event) => set(event.currentTarget.value)}>${options.map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select>`}<//>`;
}
